import { plain } from '../terminal.ts'
import { asUtf8 } from './encoding.ts'
import { FileRoles, fitRoles } from './fit-roles.ts'
import { recordsOf } from './formats/formats.ts'
import type { ImportSettings } from './import-options.ts'
import type { Input } from './input.ts'
import type { ImportRecord, ReadRecord } from './record.ts'
import { repaired } from './repair.ts'
import type { Bytes } from './text-lines.ts'

/** The records of what is imported, one at a time, as they can be sent. */
export class Records implements AsyncIterable<ImportRecord> {
  private readonly roles: FileRoles
  private readonly fitted: AsyncGenerator<ImportRecord>

  /** @throws Failure where the hash parameters can't be read */
  constructor(input: Input, settings: ImportSettings) {
    this.roles = new FileRoles(settings)
    const utf8 = (bytes: Bytes) => asUtf8(bytes, input.name, settings.format)
    const again = input.path === null ? null : () => recordsOf(utf8(input.again()), settings)
    const source = input.path === null ? utf8(input.bytes()) : allUtf8(() => utf8(input.again()), utf8(input.bytes()))
    this.fitted = fitRoles(eachRepaired(recordsOf(source, settings)), again, this.roles)
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

/** All of a file is looked at before the first of it is given: what is refused is refused whole. */
async function* allUtf8(again: () => Bytes, bytes: Bytes): AsyncGenerator<Uint8Array> {
  for await (const _ of again());
  yield* bytes
}

async function* eachRepaired(records: AsyncIterable<ReadRecord>): AsyncGenerator<ReadRecord> {
  for await (const record of records) yield repaired(record)
}
