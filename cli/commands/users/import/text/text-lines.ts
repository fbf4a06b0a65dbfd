/** The bytes of a file or pipe, in chunks. */
export type Bytes = AsyncIterable<Uint8Array>

export type TextLine = { line: number; text: string } | { line: number; fault: string }

/** Bounds memory for a file without line breaks; real records are far smaller. */
export const RECORD_MAX = 16 * 1024 * 1024
export const TOO_LARGE = 'The record is larger than 16 MiB'
export const NOT_UTF8 = 'The record is not UTF-8'

const LF = 10
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Yields the lines of UTF-8 text, numbered from 1, without line ends (LF or CRLF) and byte order mark. */
export async function* textLines(source: Bytes): AsyncGenerator<TextLine> {
  let line = 1
  let pending: Uint8Array[] = []
  let size = 0
  for await (const chunk of source) {
    const last = chunk.lastIndexOf(LF)
    if (last < 0) {
      size += chunk.length
      if (size <= RECORD_MAX) pending.push(chunk)
      else pending = []
      continue
    }
    const first = chunk.indexOf(LF)
    size += first
    if (size > RECORD_MAX) yield { line: line++, fault: TOO_LARGE }
    else for (const one of decodeLines(Buffer.concat([...pending, chunk.subarray(0, first)]), line++)) yield one
    if (last > first)
      for (const one of decodeLines(chunk.subarray(first + 1, last), line)) {
        line = one.line + 1
        yield one
      }
    const rest = chunk.subarray(last + 1)
    pending = [rest]
    size = rest.length
  }
  if (size > RECORD_MAX) yield { line, fault: TOO_LARGE }
  else if (size > 0) for (const one of decodeLines(Buffer.concat(pending), line)) yield one
}

/** Decodes many lines at once, which is fastest; one by one only if some of them are not UTF-8. */
function* decodeLines(bytes: Uint8Array, firstLine: number): Generator<TextLine> {
  let text: string
  try {
    text = decoder.decode(bytes)
  } catch {
    yield* decodeEach(bytes, firstLine)
    return
  }
  let line = firstLine
  for (let start = 0; start <= text.length; line++) {
    const newline = text.indexOf('\n', start)
    const end = newline < 0 ? text.length : newline
    yield { line, text: withoutLineEnd(text.slice(start, end), line) }
    start = end + 1
  }
}

function* decodeEach(bytes: Uint8Array, firstLine: number): Generator<TextLine> {
  let line = firstLine
  for (let start = 0; start <= bytes.length; line++) {
    const newline = bytes.indexOf(LF, start)
    const end = newline < 0 ? bytes.length : newline
    yield lineOf(bytes.subarray(start, end), line)
    start = end + 1
  }
}

function lineOf(bytes: Uint8Array, line: number): TextLine {
  try {
    return { line, text: withoutLineEnd(decoder.decode(bytes), line) }
  } catch {
    return { line, fault: NOT_UTF8 }
  }
}

function withoutLineEnd(text: string, line: number): string {
  const start = line === 1 && text.charCodeAt(0) === 0xfeff ? 1 : 0
  const end = text.endsWith('\r') ? text.length - 1 : text.length
  return text.slice(start, end)
}
