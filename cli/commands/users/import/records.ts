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

/** Records between two updates of the progress. */
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
    const canReread = input.path !== null
    const source = canReread ? checkedUtf8(utf8(input.bytesAgain()), utf8(input.bytes())) : utf8(input.bytes())
    const reread = () => showingProgress(recordsOf(utf8(input.bytesAgain()), settings), input, quiet)
    this.records = fitRoles(repairEach(recordsOf(source, settings)), canReread ? reread : null, this.roles)
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

/**
 * Yields the bytes of a file after `check`, the same bytes read once before, has shown that all of them are in UTF-8: a
 * file in another encoding is refused before any record is sent.
 */
async function* checkedUtf8(check: Bytes, bytes: Bytes): AsyncGenerator<Uint8Array> {
  for await (const _ of check);
  yield* bytes
}

/** Shows the progress of a read-ahead. */
async function* showingProgress(
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
