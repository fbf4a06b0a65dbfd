import { derivedId, type RunId } from './derived-id.ts'
import type { FaultyRecord, ImportLine, ImportRecord, UserRecord } from './record/record.ts'

/** Maximum size of a request: the API's limit of 1 MiB, with some slack. */
const BYTES_MAX = 1024 * 1024 - 1024
const LINES_MAX = 4000
/** Passwords per batch. The service hashes each one, which is slow, and Ctrl-C waits for the batch to end. */
const PASSWORDS_MAX = 200

/** A record as a line of a request. */
export interface Line {
  record: UserRecord
  /** The id in the record, or one derived from the record's number. */
  id: string
  derived: boolean
  /** The JSON to send, with the id. */
  text: string
}

/** Records that are processed together: lines to send, and records that cannot be sent. */
export interface Batch {
  /** Number of records in the file up to the end of this batch. */
  until: number
  lines: Line[]
  faults: FaultyRecord[]
  bytes: number
}

const TOO_LARGE = 'The record is larger than the 1 MiB that can be sent'

/**
 * Groups records into batches that fit a request.
 * @param from number of records to skip
 * @param sentBefore number of records that an earlier run may have sent: no batch mixes these with others
 */
export async function* batches(
  records: AsyncIterable<ImportRecord>,
  run: RunId,
  from: number,
  sentBefore: number,
): AsyncGenerator<Batch> {
  let number = 0
  let passwords = 0
  let batch = empty(from)
  for await (const record of records) {
    const index = number++
    if (index < from) continue
    const line = 'fault' in record ? null : lineOf(record, run, index)
    const size = line ? Buffer.byteLength(line.text) + 1 : 0
    const full = batch.bytes + size > BYTES_MAX || batch.lines.length === LINES_MAX || passwords === PASSWORDS_MAX
    if (
      (full && batch.lines.length > 0) ||
      (index === sentBefore && batch.until > from) ||
      batch.faults.length === LINES_MAX
    ) {
      yield batch
      batch = empty(index)
      passwords = 0
    }
    batch.until = index + 1
    if ('fault' in record) batch.faults.push(record)
    else if (!line || size > BYTES_MAX) batch.faults.push({ place: record.place, fault: TOO_LARGE })
    else {
      batch.lines.push(line)
      batch.bytes += size
      if (record.user.password !== undefined) passwords++
    }
  }
  if (batch.lines.length + batch.faults.length > 0) yield batch
}

function empty(until: number): Batch {
  return { until, lines: [], faults: [], bytes: 0 }
}

function lineOf(record: UserRecord, run: RunId, number: number): Line {
  const givenId = record.user.id
  if (typeof givenId === 'string')
    return { record, id: givenId.toLowerCase(), derived: false, text: JSON.stringify(record.user) }
  // An id that is not a string is sent as it is: the API reports the error.
  const id = derivedId(run, number)
  const bare: ImportLine = givenId === null ? { ...record.user, id } : { id, ...record.user }
  return { record, id, derived: true, text: JSON.stringify(bare) }
}
