import type { Fields, RawRecord } from './raw-record.ts'
import { type Bytes, NOT_UTF8, RECORD_MAX, TOO_LARGE } from './text-lines.ts'

const QUOTE = 34
const BACKSLASH = 92
const OPEN_OBJECT = 123
const OPEN_ARRAY = 91
const CLOSE = [125, 93]
/** In ASCII, the code of a closing bracket is so much greater than that of its opening bracket. */
const OPEN_TO_CLOSE = 2
const COLON = 58
const BLANKS = new Set([32, 9, 10, 13, 44, COLON])
const KEY = Buffer.from('users')
const NOT_AN_OBJECT = 'The record is not a JSON object'
const MALFORMED = 'The record is not valid JSON'

/**
 * Yields the objects in a JSON document of any size, parsed one at a time: those of an array (`[{…}, …]`), of the array
 * `users` in an object or in each of several (`{"users": [{…}, …]}`), or one after the other (`{…}\n{…}`). Only brackets
 * and strings are scanned; JSON.parse reads each object. Other values in such an array are faults.
 */
export async function* jsonRecords(source: Bytes): AsyncGenerator<RawRecord> {
  const splitter = new Splitter()
  let place = 0
  for await (const chunk of source) {
    for (const item of splitter.records(chunk)) yield parseRecord(item, ++place)
    if (splitter.broken) break
  }
  const fault = splitter.end()
  if (fault !== undefined) yield { place: place + 1, fault }
}

function parseRecord(item: RecordBytes, place: number): RawRecord {
  if (typeof item === 'string') return { place, fault: item }
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(item)
  } catch {
    return { place, fault: NOT_UTF8 }
  }
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return { place, fault: NOT_AN_OBJECT }
    return { place, value: value as Fields }
  } catch {
    // The parser's own message may quote a hash.
    return { place, fault: MALFORMED }
  }
}

/** The bytes of a record, or its fault. */
type RecordBytes = Uint8Array | typeof TOO_LARGE | typeof NOT_AN_OBJECT

/** An object or array around the current byte. */
interface Level {
  bracket: typeof OPEN_OBJECT | typeof OPEN_ARRAY
  /** Whether the last key in this object is `users`. */
  isUsersKey: boolean
  /** Whether this is the array `users`. */
  isUsers: boolean
}

class Splitter {
  broken = false
  private offset = 0
  private readonly levels: Level[] = []
  private inString = false
  private escaped = false
  /** The first bytes of the last string, at most one more than `users` has, to recognize that key. */
  private lastString: number[] = []
  private lastStringIsUsers = false
  /** The depth and the bytes so far of the current record. */
  private record: { depth: number; parts: Uint8Array[]; size: number } | null = null
  /** Whether the previous byte belongs to a number, `null`, `true` or `false`. */
  private inLiteral = false
  /** Whether the first bracket was read. */
  private started = false

  /** The fault of a document that ends here, if any. */
  end(): string | undefined {
    if (this.broken) return 'The file is not valid JSON from here on: the rest was not read'
    if (this.levels.length > 0 || this.inString) return 'The file is incomplete: it ends in the middle of its JSON'
    return undefined
  }

  /** The records that end in this chunk. */
  *records(chunk: Uint8Array): Generator<RecordBytes> {
    let from = 0
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] as number
      if (this.inString) {
        at = this.skipString(chunk, at)
        continue
      }
      const wasInLiteral = this.inLiteral
      this.inLiteral = false
      if (BLANKS.has(byte)) {
        if (byte === COLON) this.endKey()
        continue
      }
      if (!this.started && this.isByteOrderMark(byte, this.offset + at)) continue
      if (byte === QUOTE) {
        this.inString = true
        this.lastString = []
        this.lastStringIsUsers = false
        if (this.levels.length === 0) {
          this.broken = true
          return
        }
        if (this.isRecordPosition()) yield NOT_AN_OBJECT
        continue
      }
      if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
        if (this.open(byte)) from = at
        continue
      }
      if (CLOSE.includes(byte)) {
        const endsRecord = this.close(byte)
        if (this.broken) return
        if (endsRecord) yield this.finish(chunk.subarray(from, at + 1))
        continue
      }
      if (this.levels.length === 0) {
        this.broken = true
        return
      }
      this.inLiteral = true
      if (!wasInLiteral && this.isRecordPosition()) yield NOT_AN_OBJECT
    }
    if (this.record) this.bufferPart(chunk.subarray(from))
    this.offset += chunk.length
  }

  /** A byte order mark before the document. */
  private isByteOrderMark(byte: number, position: number): boolean {
    return position < 3 && byte === [0xef, 0xbb, 0xbf][position]
  }

  /** Skips to the end of a string or of the chunk. */
  private skipString(chunk: Uint8Array, from: number): number {
    let at = from
    for (; at < chunk.length; at++) {
      const byte = chunk[at] as number
      if (this.escaped) this.escaped = false
      else if (byte === BACKSLASH) this.escaped = true
      else if (byte === QUOTE) {
        this.inString = false
        this.lastStringIsUsers =
          this.lastString.length === KEY.length && this.lastString.every((one, index) => one === KEY[index])
        return at
      }
      if (this.lastString.length <= KEY.length) this.lastString.push(byte)
    }
    return at
  }

  /** Handles a colon: the string before it is a key. */
  private endKey(): void {
    const level = this.levels.at(-1)
    if (level) level.isUsersKey = this.lastStringIsUsers
  }

  /** Opens a level; true if a record starts with it. */
  private open(bracket: Level['bracket']): boolean {
    this.started = true
    const outer = this.levels.at(-1)
    const isUsers = bracket === OPEN_ARRAY && outer?.isUsersKey === true && this.mayHoldUsers()
    // The enclosing object is not a user but contains them.
    if (isUsers) this.record = null
    if (outer) outer.isUsersKey = false
    const startsRecord = !isUsers && (bracket === OPEN_OBJECT || outer !== undefined) && this.isRecordPosition()
    this.levels.push({ bracket, isUsersKey: false, isUsers })
    if (startsRecord) this.record = { depth: this.levels.length, parts: [], size: 0 }
    return startsRecord
  }

  /** Whether the position is in an object at the root or in an array at the root. */
  private mayHoldUsers(): boolean {
    const [first, second] = this.levels
    if (this.levels.length === 1) return first?.bracket === OPEN_OBJECT
    return this.levels.length === 2 && first?.bracket === OPEN_ARRAY && second?.bracket === OPEN_OBJECT
  }

  /** Whether a value that starts here is a record, or stands in place of one. */
  private isRecordPosition(): boolean {
    if (this.record) return false
    const outer = this.levels.at(-1)
    if (!outer) return true
    return outer.isUsers || (this.levels.length === 1 && outer.bracket === OPEN_ARRAY)
  }

  /** Closes a level; true if a record ends with it. */
  private close(bracket: number): boolean {
    const level = this.levels.at(-1)
    if (level?.bracket !== bracket - OPEN_TO_CLOSE) {
      this.broken = true
      return false
    }
    const endsRecord = this.record?.depth === this.levels.length
    this.levels.pop()
    return endsRecord
  }

  /** Buffers a part of the current record, which goes on in the next chunk. */
  private bufferPart(part: Uint8Array): void {
    const { record } = this
    if (!record) return
    record.size += part.length
    // Scanned to its end, but no longer stored.
    if (record.size > RECORD_MAX) record.parts = []
    else record.parts.push(part.slice())
  }

  /** Ends the current record with its last part. */
  private finish(part: Uint8Array): RecordBytes {
    const { record } = this
    this.record = null
    if (!record || record.size + part.length > RECORD_MAX) return TOO_LARGE
    return record.parts.length === 0 ? part : Buffer.concat([...record.parts, part])
  }
}
