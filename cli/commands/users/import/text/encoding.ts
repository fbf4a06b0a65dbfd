import { isUtf8 } from 'node:buffer'
import { usage } from '../../../../exit.ts'
import { quoted } from '../../../../terminal/shell.ts'
import { guessEncoding, type TextEncoding } from './encoding-guess.ts'
import type { Bytes } from './text-lines.ts'

/** Number of bytes at the start that reveal the encoding. */
const FIRST_BYTES = 4
/** Maximum length of a character in UTF-8, in bytes. */
const CHARACTER_MAX = 4

/**
 * Converts text to UTF-8. UTF-16 is recognized by its byte order mark or by its zero bytes.
 * @param name name of the file, for the error message
 * @throws Failure that names the encoding, if the text has another one
 */
export async function* asUtf8(source: Bytes, name: string, format: string): AsyncGenerator<Uint8Array> {
  const reader = source[Symbol.asyncIterator]()
  try {
    const first = await firstBytes(reader)
    const utf16 = utf16In(first)
    if (isUtf32(first)) throw encodingFailure({ name: 'UTF-32', iconv: 'UTF-32' }, name, format)
    const decoder = utf16 === undefined ? undefined : new TextDecoder(utf16)
    const encoder = new TextEncoder()
    const check = new Utf8Check()
    for (let chunk: Uint8Array | undefined = first; chunk; ) {
      if (decoder) yield encoder.encode(decoder.decode(chunk, { stream: true }))
      else {
        if (!check.passes(chunk)) throw encodingFailure(guessEncoding(chunk), name, format)
        yield chunk
      }
      const { done, value } = await reader.next()
      chunk = done ? undefined : value
    }
    if (decoder) yield encoder.encode(decoder.decode())
  } finally {
    await reader.return?.()
  }
}

/**
 * Detects encodings other than UTF-8. Text with fewer invalid bytes than UTF-8 characters is damaged UTF-8: it passes, and
 * the records with those bytes are refused one by one.
 */
class Utf8Check {
  /** The possible start of a character at the end of the last chunk. */
  private rest = Buffer.alloc(0)
  /** Whether a character beyond ASCII has shown that the text is UTF-8. */
  private hasUtf8 = false

  /** Whether the text may be UTF-8 up to the end of this chunk. */
  passes(chunk: Uint8Array): boolean {
    if (this.hasUtf8) return true
    const bytes = Buffer.concat([this.rest, chunk])
    const end = endOfCharacters(bytes)
    const complete = bytes.subarray(0, end)
    this.rest = bytes.subarray(end)
    if (isUtf8(complete)) {
      this.hasUtf8 = complete.some((byte) => byte > 0x7f)
      return true
    }
    this.hasUtf8 = isMostlyUtf8(complete)
    return this.hasUtf8
  }
}

/** The position of an incomplete last character, or else the end. */
function endOfCharacters(bytes: Uint8Array): number {
  for (let at = bytes.length - 1; at >= 0 && at >= bytes.length - CHARACTER_MAX; at--) {
    const length = lengthOf(bytes[at] as number)
    if (length > 1) return at + length > bytes.length ? at : bytes.length
    if (length === 1) return bytes.length
  }
  return bytes.length
}

/** The length of a character from its first byte; 0 for a byte inside a character. */
function lengthOf(byte: number): number {
  if (byte < 0x80) return 1
  if (byte < 0xc0) return 0
  return byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4
}

/** Whether there are more multi-byte UTF-8 characters than invalid bytes. */
function isMostlyUtf8(bytes: Uint8Array): boolean {
  let characters = 0
  let invalidBytes = 0
  for (let at = 0; at < bytes.length; at++) {
    if ((bytes[at] as number) < 0x80) continue
    const length = lengthOf(bytes[at] as number)
    if (length > 1 && isUtf8(bytes.subarray(at, at + length))) {
      characters++
      at += length - 1
    } else invalidBytes++
  }
  return characters > invalidBytes
}

async function firstBytes(reader: AsyncIterator<Uint8Array>): Promise<Uint8Array> {
  let bytes = Buffer.alloc(0)
  while (bytes.length < FIRST_BYTES) {
    const { done, value } = await reader.next()
    if (done) break
    bytes = Buffer.concat([bytes, value])
  }
  return bytes
}

/** Recognizes UTF-16, without a byte order mark by the zero bytes of its first, ASCII, characters. */
function utf16In([a, b, c, d]: Uint8Array): 'utf-16le' | 'utf-16be' | undefined {
  if (a === 0xff && b === 0xfe) return 'utf-16le'
  if (a === 0xfe && b === 0xff) return 'utf-16be'
  if (a && b === 0 && c && d === 0) return 'utf-16le'
  return a === 0 && b && c === 0 && d ? 'utf-16be' : undefined
}

function isUtf32([a, b, c, d]: Uint8Array): boolean {
  return (a === 0xff && b === 0xfe && c === 0 && d === 0) || (a === 0 && b === 0 && c === 0xfe && d === 0xff)
}

function encodingFailure(encoding: TextEncoding | undefined, name: string, format: string) {
  const subject = name === '-' ? 'Standard input' : name
  const guess = encoding ? `it looks like ${encoding.name}` : 'it is in another encoding'
  const from = encoding?.iconv ?? '<its encoding>'
  const file = name === '-' ? '' : ` ${quoted(name)}`
  return usage(
    `${subject} is not UTF-8: ${guess}. Convert it first`,
    `iconv -f ${from} -t UTF-8${file} | ch202 users import - --format ${format}`,
  )
}
