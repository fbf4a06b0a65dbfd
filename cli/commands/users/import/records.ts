import { Progress } from '../../../terminal/progress.ts'
import { plain } from '../../../terminal/terminal.ts'
import { recordsOf } from './formats/formats.ts'
import type { Input } from './input.ts'
import type { ImportSettings } from './options.ts'
import type { ImportRecord, ReadRecord } from './record/record.ts'
import { repair } from './record/repair.ts'
import { FileRoles, fitRoles } from './roles/fit-roles.ts'
import { asUtf8 } from './text/encoding.ts'
import type { Bytes } from './text/text-lines.ts'

const SHOWN_EVERY = 1000

/** The records of an input, one at a time, repaired and with their roles converted. */
export class Records implements AsyncIterable<ImportRecord> {
  private readonly roles: FileRoles
  private readonly records: AsyncGenerator<ImportRecord>

  /**
   * @param quiet whether to hide the progress of the read-ahead
   * @throws Failure if the file with the hash parameters cannot be read
   */
  constructor(input: Input, settings: ImportSettings, quiet = false) {
    this.roles = new FileRoles(settings)
    const utf8 = (bytes: Bytes) => asUtf8(bytes, input.name, settings.format)
    const readAhead = () => withProgress(recordsOf(utf8(input.bytesAgain()), settings), input, quiet)
    const again = input.path === null ? null : readAhead
    const source =
      input.path === null ? utf8(input.bytes()) : checkedUtf8(() => utf8(input.bytesAgain()), utf8(input.bytes()))
    this.records = fitRoles(repairEach(recordsOf(source, settings)), again, this.roles)
  }

  /** @throws Failure if the file does not have the expected format */
  [Symbol.asyncIterator](): AsyncGenerator<ImportRecord> {
    return this.records
  }

  /** Warnings about `--role-map` names that do not occur in the file; complete after the last record. */
  get unusedRoleMap(): string[] {
    return this.roles.unusedMappings.map((name) => `The file has no role ${plain(JSON.stringify(name))} (--role-map)`)
  }
}

/** Checks the encoding of the whole file before yielding anything, so that a bad file is refused before any record is sent. */
async function* checkedUtf8(again: () => Bytes, bytes: Bytes): AsyncGenerator<Uint8Array> {
  for await (const _ of again());
  yield* bytes
}

/** Shows the progress of a read-ahead. */
async function* withProgress(
  records: AsyncIterable<ReadRecord>,
  input: Input,
  quiet: boolean,
): AsyncGenerator<ReadRecord> {
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

async function* repairEach(records: AsyncIterable<ReadRecord>): AsyncGenerator<ReadRecord> {
  for await (const record of records) yield repair(record)
}
