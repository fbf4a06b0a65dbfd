import { derivedId, type RunId } from './derived-id.ts'
import type { FaultyRecord, ImportLine, ImportRecord, UserRecord } from './record.ts'

/** What the API takes at once, with a little room. */
const BYTES_MAX = 1024 * 1024 - 1024
const LINES_MAX = 4000
/** A password is hashed there, which takes long: whoever stops the import waits for a batch. */
const PASSWORDS_MAX = 200

/** A record as a line of a request. */
export interface Line {
  record: UserRecord
  /** Its own, or one that is derived from its number. */
  id: string
  derived: boolean
  /** With the id. */
  text: string
}

/** Records that are settled together: those that are sent, and those that can't be. */
export interface Batch {
  /** How many records of the file come before its end. */
  until: number
  lines: Line[]
  faults: FaultyRecord[]
  bytes: number
}

const LARGE = 'The record is larger than the 1 MiB that can be sent'

/**
 * Records in batches that can be sent.
 * @param from how many records to pass over
 * @param cut how many records may have been sent already: a batch has either such ones or others
 */
export async function* batches(
  records: AsyncIterable<ImportRecord>,
  run: RunId,
  from: number,
  cut: number,
): AsyncGenerator<Batch> {
  let number = 0
  let passwords = 0
  let batch = empty(from)
  for await (const record of records) {
    const own = number++
    if (own < from) continue
    const line = 'fault' in record ? null : lineOf(record, run, own)
    const size = line ? Buffer.byteLength(line.text) + 1 : 0
    const full = batch.bytes + size > BYTES_MAX || batch.lines.length === LINES_MAX || passwords === PASSWORDS_MAX
    if ((full && batch.lines.length > 0) || (own === cut && batch.until > from) || batch.faults.length === LINES_MAX) {
      yield batch
      batch = empty(own)
      passwords = 0
    }
    batch.until = own + 1
    if ('fault' in record) batch.faults.push(record)
    else if (!line || size > BYTES_MAX) batch.faults.push({ place: record.place, fault: LARGE })
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
  const own = record.user.id
  if (typeof own === 'string')
    return { record, id: own.toLowerCase(), derived: false, text: JSON.stringify(record.user) }
  // One that is no text is sent as it is: the API says what is wrong with it.
  const id = derivedId(run, number)
  const bare: ImportLine = own === null ? { ...record.user, id } : { id, ...record.user }
  return { record, id, derived: true, text: JSON.stringify(bare) }
}
