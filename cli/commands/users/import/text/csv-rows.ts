import { type Bytes, NOT_UTF8 } from './text-lines.ts'

/** A cell, and whether it stood in quotes: an empty one in quotes is an empty text, without them it is nothing. */
export interface Cell {
  text: string
  quoted: boolean
}

export type CsvRow = { line: number; cells: Cell[] } | { line: number; fault: string }

/** A quote that is never closed must not swallow the file. */
const ROW_MAX = 4 * 1024 * 1024
const UNCLOSED = 'A quoted cell is not closed: what follows was not read'

/** What a decoder writes for bytes that it can't read. */
const DAMAGED = '\ufffd'

const QUOTE = 34
const COMMA = 44
const CR = 13
const LF = 10
/** What may stand between cells: the one that stands most often in the first row does, and of several the first here. */
const SEPARATORS = [COMMA, 59, 9, 124]
/** What Excel writes, and reads, before the first row. */
const SEPARATOR_LINE = /^"?sep=([,;|\t])"?(?=[\r\n]|$)/i

/**
 * The rows of a CSV in UTF-8 (RFC 4180): commas, or semicolons, tabs or bars where the first row has these, cells in
 * quotes with line breaks and doubled quotes in them, LF, CRLF or CR at the end of a row, a byte order mark before the
 * first. Blank rows are passed over. A quote that closes
 * nothing is taken as a character, which is how some exports write it. A row that is not UTF-8, or was damaged by what
 * took it for that before, is a fault and keeps no other from being read.
 */
export async function* csvRows(source: Bytes): AsyncGenerator<CsvRow> {
  const decoder = new TextDecoder('utf-8')
  const reader = new RowReader()
  for await (const chunk of source) {
    reader.add(decoder.decode(chunk, { stream: true }))
    yield* reader.rows(false)
    if (reader.pending > ROW_MAX) {
      yield { line: reader.line, fault: UNCLOSED }
      return
    }
  }
  reader.add(decoder.decode())
  yield* reader.rows(true)
}

class RowReader {
  /** The line that the next row begins in. */
  line = 1
  private text = ''
  private at = 0
  private separator: number | undefined

  get pending(): number {
    return this.text.length - this.at
  }

  add(text: string): void {
    this.text = this.text.slice(this.at) + text
    this.at = 0
  }

  /** @param whole whether nothing follows: else a row that ends with the text may go on, and waits */
  *rows(whole: boolean): Generator<CsvRow> {
    this.separator ??= this.findSeparator(whole)
    while (this.separator !== undefined && this.at < this.text.length) {
      const row = this.row(whole)
      if (!row) return
      if (!('cells' in row) || row.cells.length > 1 || row.cells[0]?.quoted || row.cells[0]?.text !== '') yield row
    }
  }

  /** By the first row, once it is there. The rest of a line that names it is a blank row. */
  private findSeparator(whole: boolean): number | undefined {
    const named = SEPARATOR_LINE.exec(this.text)
    // A line may be cut within its name.
    if (named && (whole || this.text.length > named[0].length)) {
      this.at += named[0].length
      return named[1]?.charCodeAt(0)
    }
    return separatorIn(this.text, whole)
  }

  private row(whole: boolean): CsvRow | null {
    const { text, line, separator = COMMA } = this
    const cells: Cell[] = []
    let at = this.at
    let lines = 0
    for (;;) {
      const quoted = text.charCodeAt(at) === QUOTE
      const end = quoted ? closing(text, at + 1, separator) : plainEnd(text, at, separator)
      // What comes next decides: another quote, the second half of CRLF, or nothing.
      if (!whole && end + (quoted ? 1 : 0) + 1 >= text.length) return null
      if (quoted && end >= text.length) {
        this.at = text.length
        return { line, fault: UNCLOSED }
      }
      const inner = text.slice(quoted ? at + 1 : at, end)
      cells.push({ text: quoted && inner.includes('"') ? inner.replaceAll('""', '"') : inner, quoted })
      if (quoted) lines += breaks(inner)
      at = quoted ? end + 1 : end
      const mark = text.charCodeAt(at)
      if (mark === separator) {
        at++
        continue
      }
      if (mark === CR && text.charCodeAt(at + 1) === LF) at++
      this.at = Math.min(at + 1, text.length)
      this.line += lines + 1
      return cells.some((cell) => cell.text.includes(DAMAGED)) ? { line, fault: NOT_UTF8 } : { line, cells }
    }
  }
}

/** The separator of a text's first row; undefined where that row may go on. */
function separatorIn(text: string, whole: boolean): number | undefined {
  const counts = SEPARATORS.map(() => 0)
  let begins = true
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE && begins) {
      at = closingQuote(text, at + 1)
      begins = false
      continue
    }
    if ((code === CR || code === LF) && at > 0 && !isBreak(text.charCodeAt(at - 1))) return mostOf(counts)
    const candidate = SEPARATORS.indexOf(code)
    if (candidate >= 0) counts[candidate] = (counts[candidate] ?? 0) + 1
    begins = candidate >= 0 || isBreak(code)
  }
  return whole ? mostOf(counts) : undefined
}

function mostOf(counts: readonly number[]): number {
  return SEPARATORS[counts.indexOf(Math.max(...counts))] ?? COMMA
}

function isBreak(code: number): boolean {
  return code === CR || code === LF
}

/** Where a quote is closed, whatever the separator is. */
function closingQuote(text: string, from: number): number {
  for (let at = text.indexOf('"', from); at >= 0; at = text.indexOf('"', at + 2))
    if (text.charCodeAt(at + 1) !== QUOTE) return at
  return text.length
}

/** Where the quote stands that closes a cell: one that a separator, a line's end or nothing follows. */
function closing(text: string, from: number, separator: number): number {
  for (let at = text.indexOf('"', from); at >= 0; at = text.indexOf('"', at)) {
    const next = text.charCodeAt(at + 1)
    if (next === QUOTE) at += 2
    else if (Number.isNaN(next) || next === separator || next === CR || next === LF) return at
    else at++
  }
  return text.length
}

function plainEnd(text: string, from: number, separator: number): number {
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === separator || code === LF || code === CR) return at
  }
  return text.length
}

function breaks(text: string): number {
  let count = 0
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count++
  return count
}

/** A cell as `csvRows` reads it back: in quotes where it must be or could mislead, and where it is an empty text. */
export function csvCell(text: string): string {
  return text === '' || /[",;|\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
