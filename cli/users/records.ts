import { plain } from '../terminal.ts'
import { FileRoles, fitRoles } from './fit-roles.ts'
import { recordsOf } from './formats/formats.ts'
import type { ImportSettings } from './import-options.ts'
import type { Input } from './input.ts'
import type { ImportRecord, ReadRecord } from './record.ts'
import { repaired } from './repair.ts'

/** The records of what is imported, one at a time, as they can be sent. */
export class Records implements AsyncIterable<ImportRecord> {
  private readonly roles: FileRoles
  private readonly fitted: AsyncGenerator<ImportRecord>

  /** @throws Failure where the hash parameters can't be read */
  constructor(input: Input, settings: ImportSettings) {
    this.roles = new FileRoles(settings)
    const again = input.path === null ? null : () => recordsOf(input.again(), settings)
    this.fitted = fitRoles(eachRepaired(recordsOf(input.bytes(), settings)), again, this.roles)
  }

  /** @throws Failure where the file is not what it should be */
  [Symbol.asyncIterator](): AsyncGenerator<ImportRecord> {
    return this.fitted
  }

  /** What an operator said of roles that the file, now that it was read, does not name. */
  get unusedMap(): string[] {
    return this.roles.unused.map((name) => `No role of the file is called ${plain(JSON.stringify(name))} (--role-map)`)
  }
}

async function* eachRepaired(records: AsyncIterable<ReadRecord>): AsyncGenerator<ReadRecord> {
  for await (const record of records) yield repaired(record)
}
