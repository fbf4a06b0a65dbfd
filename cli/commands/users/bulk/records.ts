import { Progress, plain } from '../../../terminal/terminal.ts'
import { asUtf8 } from './encoding.ts'
import { FileRoles, fitRoles } from './fit-roles.ts'
import { recordsOf } from './formats/formats.ts'
import type { ImportSettings } from './import-options.ts'
import type { Input } from './input.ts'
import type { ImportRecord, ReadRecord } from './record.ts'
import { repaired } from './repair.ts'
import type { Bytes } from './text-lines.ts'

const SHOWN_EVERY = 1000

/** The records of what is imported, one at a time, as they can be sent. */
export class Records implements AsyncIterable<ImportRecord> {
  private readonly roles: FileRoles
  private readonly fitted: AsyncGenerator<ImportRecord>

  /**
   * @param quiet whether to say nothing of a look ahead that takes long
   * @throws Failure where the hash parameters can't be read
   */
  constructor(input: Input, settings: ImportSettings, quiet = false) {
    this.roles = new FileRoles(settings)
    const utf8 = (bytes: Bytes) => asUtf8(bytes, input.name, settings.format)
    const ahead = () => shown(recordsOf(utf8(input.again()), settings), input, quiet)
    const again = input.path === null ? null : ahead
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

/** A look ahead, with how far it is. */
async function* shown(records: AsyncIterable<ReadRecord>, input: Input, quiet: boolean): AsyncGenerator<ReadRecord> {
  const progress = new Progress('records read ahead', quiet)
  let count = 0
  try {
    for await (const record of records) {
      const { partAhead } = input
      if (++count % SHOWN_EVERY === 0) progress.update(count, partAhead === undefined ? {} : { part: partAhead })
      yield record
    }
  } finally {
    progress.clear()
  }
}

async function* eachRepaired(records: AsyncIterable<ReadRecord>): AsyncGenerator<ReadRecord> {
  for await (const record of records) yield repaired(record)
}
