/** Bytes as a file or a pipe gives them. */
export type Bytes = AsyncIterable<Uint8Array>

export type TextLine = { line: number; text: string } | { line: number; fault: string }

/** No record is near that large; a file without line breaks must not fill the memory. */
export const RECORD_MAX = 16 * 1024 * 1024
export const TOO_LARGE = 'The record is larger than 16 MiB'
export const NOT_UTF8 = 'The record is not UTF-8'

const LF = 10
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The lines of a text in UTF-8, numbered from 1, without their ends (LF or CRLF) and without a byte order mark. */
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
    else for (const one of decoded(Buffer.concat([...pending, chunk.subarray(0, first)]), line++)) yield one
    if (last > first)
      for (const one of decoded(chunk.subarray(first + 1, last), line)) {
        line = one.line + 1
        yield one
      }
    const rest = chunk.subarray(last + 1)
    pending = [rest]
    size = rest.length
  }
  if (size > RECORD_MAX) yield { line, fault: TOO_LARGE }
  else if (size > 0) for (const one of decoded(Buffer.concat(pending), line)) yield one
}

/** Whole lines, all at once: the decoder is quickest so. Only where one is no UTF-8 each is looked at by itself. */
function* decoded(bytes: Uint8Array, firstLine: number): Generator<TextLine> {
  let text: string
  try {
    text = strict.decode(bytes)
  } catch {
    yield* oneByOne(bytes, firstLine)
    return
  }
  let line = firstLine
  for (let start = 0; start <= text.length; line++) {
    const found = text.indexOf('\n', start)
    const end = found < 0 ? text.length : found
    yield { line, text: bare(text.slice(start, end), line) }
    start = end + 1
  }
}

function* oneByOne(bytes: Uint8Array, firstLine: number): Generator<TextLine> {
  let line = firstLine
  for (let start = 0; start <= bytes.length; line++) {
    const found = bytes.indexOf(LF, start)
    const end = found < 0 ? bytes.length : found
    yield lineOf(bytes.subarray(start, end), line)
    start = end + 1
  }
}

function lineOf(bytes: Uint8Array, line: number): TextLine {
  try {
    return { line, text: bare(strict.decode(bytes), line) }
  } catch {
    return { line, fault: NOT_UTF8 }
  }
}

function bare(text: string, line: number): string {
  const start = line === 1 && text.charCodeAt(0) === 0xfeff ? 1 : 0
  const end = text.endsWith('\r') ? text.length - 1 : text.length
  return text.slice(start, end)
}
