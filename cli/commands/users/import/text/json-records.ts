import { type Bytes, NOT_UTF8, RECORD_MAX, TOO_LARGE } from './text-lines.ts'

export type JsonRecord = { place: number; value: Record<string, unknown> } | { place: number; fault: string }

const QUOTE = 34
const BACKSLASH = 92
const OPEN = [123, 91]
const CLOSE = [125, 93]
const COLON = 58
const BLANKS = new Set([32, 9, 10, 13, 44, COLON])
const KEY = Buffer.from('users')
const NO_OBJECT = 'The record is no JSON object'
const MALFORMED = 'The record is not valid JSON'

/**
 * The objects of a JSON document of any size, parsed one at a time: those of an array (`[{…}, …]`), of the array
 * `users` of an object or of each of several (`{"users": [{…}, …]}`), or one after the other (`{…}\n{…}`). Brackets
 * and strings are all that it looks at; each object is left to JSON.parse. What else stands in such an array is told
 * in its place.
 */
export async function* jsonRecords(source: Bytes): AsyncGenerator<JsonRecord> {
  const splitter = new Splitter()
  let place = 0
  for await (const chunk of source) {
    for (const found of splitter.take(chunk)) yield parsed(found, ++place)
    if (splitter.broken) break
  }
  const fault = splitter.end()
  if (fault !== undefined) yield { place: place + 1, fault }
}

function parsed(found: Found, place: number): JsonRecord {
  if (typeof found === 'string') return { place, fault: found }
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(found)
  } catch {
    return { place, fault: NOT_UTF8 }
  }
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return { place, fault: NO_OBJECT }
    return { place, value: value as Record<string, unknown> }
  } catch {
    // The parser's own message quotes what may be a hash.
    return { place, fault: MALFORMED }
  }
}

/** The bytes of a record, or why there are none. */
type Found = Uint8Array | typeof TOO_LARGE | typeof NO_OBJECT

/** What is open around the byte that is looked at, from the outside in. */
type Level = { bracket: number; key: boolean; users: boolean }

class Splitter {
  broken = false
  private offset = 0
  private readonly levels: Level[] = []
  private inString = false
  private escaped = false
  /** The string that was read last, if it may be a key: as many bytes as `users` has, and one more. */
  private word: number[] = []
  private wordIsKey = false
  /** The depth of the object that is being kept, and its bytes so far. */
  private kept: { depth: number; parts: Uint8Array[]; size: number } | null = null
  /** Whether the byte before was of a number, or of `null`, `true` or `false`. */
  private inWord = false
  /** Whether anything but blanks has come. */
  private started = false

  /** What is wrong with a document that ends here. */
  end(): string | undefined {
    if (this.broken) return 'The file is not valid JSON from here on: what follows was not read'
    if (this.levels.length > 0 || this.inString) return 'The file ends in the middle of its JSON: it is not whole'
    return undefined
  }

  /** The records that end in this chunk. */
  *take(chunk: Uint8Array): Generator<Found> {
    let from = 0
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] as number
      if (this.inString) {
        at = this.string(chunk, at)
        continue
      }
      const wasInWord = this.inWord
      this.inWord = false
      if (BLANKS.has(byte)) {
        if (byte === COLON) this.colon()
        continue
      }
      if (!this.started && this.mark(byte, this.offset + at)) continue
      if (byte === QUOTE) {
        this.inString = true
        this.word = []
        this.wordIsKey = false
        if (this.levels.length === 0) {
          this.broken = true
          return
        }
        if (this.isRecord()) yield NO_OBJECT
        continue
      }
      if (OPEN.includes(byte)) {
        if (this.opens(byte)) from = at
        continue
      }
      if (CLOSE.includes(byte)) {
        const whole = this.closes(byte)
        if (this.broken) return
        if (whole) yield this.finish(chunk.subarray(from, at + 1))
        continue
      }
      if (this.levels.length === 0) {
        this.broken = true
        return
      }
      this.inWord = true
      if (!wasInWord && this.isRecord()) yield NO_OBJECT
    }
    if (this.kept) this.keep(chunk.subarray(from))
    this.offset += chunk.length
  }

  /** A byte order mark before the document. */
  private mark(byte: number, position: number): boolean {
    return position < 3 && byte === [0xef, 0xbb, 0xbf][position]
  }

  /** Goes on to the end of a string, or of the chunk. */
  private string(chunk: Uint8Array, from: number): number {
    let at = from
    for (; at < chunk.length; at++) {
      const byte = chunk[at] as number
      if (this.escaped) this.escaped = false
      else if (byte === BACKSLASH) this.escaped = true
      else if (byte === QUOTE) {
        this.inString = false
        this.wordIsKey = this.word.length === KEY.length && this.word.every((one, index) => one === KEY[index])
        return at
      }
      if (this.word.length <= KEY.length) this.word.push(byte)
    }
    return at
  }

  private colon(): void {
    const level = this.levels.at(-1)
    if (level) level.key = this.wordIsKey
  }

  /** Opens a level; whether a record begins with it. */
  private opens(bracket: number): boolean {
    this.started = true
    const outer = this.levels.at(-1)
    const isUsers = bracket === 91 && outer?.key === true && this.mayHoldUsers()
    // The object around is no user but holds them.
    if (isUsers) this.kept = null
    if (outer) outer.key = false
    const begins = !isUsers && (bracket === 123 || outer !== undefined) && this.isRecord()
    this.levels.push({ bracket, key: false, users: isUsers })
    if (begins) this.kept = { depth: this.levels.length, parts: [], size: 0 }
    return begins
  }

  /** In an object at the root, or in one of an array at the root. */
  private mayHoldUsers(): boolean {
    const [first, second] = this.levels
    if (this.levels.length === 1) return first?.bracket === 123
    return this.levels.length === 2 && first?.bracket === 91 && second?.bracket === 123
  }

  /** Whether what begins here is a record, or stands where one should. */
  private isRecord(): boolean {
    if (this.kept) return false
    const outer = this.levels.at(-1)
    if (!outer) return true
    return outer.users || (this.levels.length === 1 && outer.bracket === 91)
  }

  /** Closes a level; whether a record ends with it. */
  private closes(bracket: number): boolean {
    const level = this.levels.at(-1)
    if (level?.bracket !== bracket - 2) {
      this.broken = true
      return false
    }
    const whole = this.kept?.depth === this.levels.length
    this.levels.pop()
    return whole
  }

  private keep(part: Uint8Array): void {
    const { kept } = this
    if (!kept) return
    kept.size += part.length
    // Still followed to its end, but no longer kept.
    if (kept.size > RECORD_MAX) kept.parts = []
    else kept.parts.push(part.slice())
  }

  private finish(part: Uint8Array): Found {
    const { kept } = this
    this.kept = null
    if (!kept || kept.size + part.length > RECORD_MAX) return TOO_LARGE
    return kept.parts.length === 0 ? part : Buffer.concat([...kept.parts, part])
  }
}
