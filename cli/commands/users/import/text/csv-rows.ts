import { type Bytes, NOT_UTF8 } from './text-lines.ts'

/** A cell. A quoted empty cell is an empty string; an unquoted one means "not specified". */
export interface Cell {
  text: string
  isQuoted: boolean
}

export type CsvRow = { line: number; cells: Cell[] } | { line: number; fault: string }

/** Limits how much of a file an unclosed quote can swallow. */
const ROW_MAX = 4 * 1024 * 1024
const UNCLOSED = 'A quoted cell is not closed: the rest of the file was not read'

/** The character that a decoder writes for invalid bytes. */
const REPLACEMENT = '\ufffd'

const QUOTE = 34
const COMMA = 44
const SEMICOLON = 59
const TAB = 9
const BAR = 124
const CR = 13
const LF = 10
/** Possible separators: the most frequent one in the first row is used, or of several the first in this list. */
const SEPARATORS = [COMMA, SEMICOLON, TAB, BAR]
/** Excel's declaration of the separator before the first row. */
const SEPARATOR_LINE = /^"?sep=([,;|\t])"?(?=[\r\n]|$)/i

/**
 * Yields the rows of a CSV file in UTF-8 (RFC 4180). Accepts commas, semicolons, tabs or bars as separators, quoted cells
 * with line breaks and doubled quotes, LF, CRLF or CR as row ends, and a byte order mark. Blank rows are skipped. A quote
 * that closes nothing is an ordinary character, as some exports write it. A row that is not UTF-8, or was damaged by an
 * earlier conversion, is a fault, and later rows are still read.
 */
export async function* csvRows(source: Bytes): AsyncGenerator<CsvRow> {
  const decoder = new TextDecoder('utf-8')
  const reader = new RowReader()
  for await (const chunk of source) {
    reader.add(decoder.decode(chunk, { stream: true }))
    yield* reader.rows({ isLast: false })
    if (reader.pending > ROW_MAX) {
      yield { line: reader.line, fault: UNCLOSED }
      return
    }
  }
  reader.add(decoder.decode())
  yield* reader.rows({ isLast: true })
}

class RowReader {
  /** The line where the next row begins. */
  line = 1
  private text = ''
  private at = 0
  private separator: number | undefined

  /** Number of characters that belong to no row yet. */
  get pending(): number {
    return this.text.length - this.at
  }

  add(text: string): void {
    this.text = this.text.slice(this.at) + text
    this.at = 0
  }

  /** @param isLast whether the text is complete; otherwise its last row may continue and is kept back */
  *rows({ isLast }: { isLast: boolean }): Generator<CsvRow> {
    this.separator ??= this.findSeparator(isLast)
    while (this.separator !== undefined && this.at < this.text.length) {
      const row = this.row(isLast)
      if (!row) return
      if (!('cells' in row) || row.cells.length > 1 || row.cells[0]?.isQuoted || row.cells[0]?.text !== '') yield row
    }
  }

  /** Finds the separator in the first row, once that is complete. The rest of a declaration line is a blank row. */
  private findSeparator(isLast: boolean): number | undefined {
    const separatorLine = SEPARATOR_LINE.exec(this.text)
    // A chunk may end within the declaration.
    if (separatorLine && (isLast || this.text.length > separatorLine[0].length)) {
      this.at += separatorLine[0].length
      return separatorLine[1]?.charCodeAt(0)
    }
    return separatorIn(this.text, isLast)
  }

  /** Reads the next row; null if the row may continue in the next chunk. */
  private row(isLast: boolean): CsvRow | null {
    const { text, line, separator = COMMA } = this
    const cells: Cell[] = []
    let at = this.at
    let lines = 0
    for (;;) {
      const isQuoted = text.charCodeAt(at) === QUOTE
      const end = isQuoted ? closingCellQuote(text, at + 1, separator) : plainEnd(text, at, separator)
      // The next character decides: another quote, the second half of CRLF, or the end.
      if (!isLast && end + (isQuoted ? 1 : 0) + 1 >= text.length) return null
      if (isQuoted && end >= text.length) {
        this.at = text.length
        return { line, fault: UNCLOSED }
      }
      const inner = text.slice(isQuoted ? at + 1 : at, end)
      cells.push({ text: isQuoted && inner.includes('"') ? inner.replaceAll('""', '"') : inner, isQuoted })
      if (isQuoted) lines += countNewlines(inner)
      at = isQuoted ? end + 1 : end
      const next = text.charCodeAt(at)
      if (next === separator) {
        at++
        continue
      }
      if (next === CR && text.charCodeAt(at + 1) === LF) at++
      this.at = Math.min(at + 1, text.length)
      this.line += lines + 1
      return cells.some((cell) => cell.text.includes(REPLACEMENT)) ? { line, fault: NOT_UTF8 } : { line, cells }
    }
  }
}

/** The separator in a text's first row; undefined if that row may continue. */
function separatorIn(text: string, isLast: boolean): number | undefined {
  const counts = SEPARATORS.map(() => 0)
  let atCellStart = true
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE && atCellStart) {
      at = closingQuote(text, at + 1)
      atCellStart = false
      continue
    }
    if ((code === CR || code === LF) && at > 0 && !isBreak(text.charCodeAt(at - 1))) return mostFrequent(counts)
    const candidate = SEPARATORS.indexOf(code)
    if (candidate >= 0) counts[candidate] = (counts[candidate] ?? 0) + 1
    atCellStart = candidate >= 0 || isBreak(code)
  }
  return isLast ? mostFrequent(counts) : undefined
}

function mostFrequent(counts: readonly number[]): number {
  return SEPARATORS[counts.indexOf(Math.max(...counts))] ?? COMMA
}

function isBreak(code: number): boolean {
  return code === CR || code === LF
}

/** The position of the quote that closes a cell while the separator is still unknown. */
function closingQuote(text: string, from: number): number {
  for (let at = text.indexOf('"', from); at >= 0; at = text.indexOf('"', at + 2))
    if (text.charCodeAt(at + 1) !== QUOTE) return at
  return text.length
}

/** The position of the quote that closes a cell: the next character is a separator, a line end or the end. */
function closingCellQuote(text: string, from: number, separator: number): number {
  for (let at = text.indexOf('"', from); at >= 0; at = text.indexOf('"', at)) {
    const next = text.charCodeAt(at + 1)
    if (next === QUOTE) at += 2
    else if (Number.isNaN(next) || next === separator || next === CR || next === LF) return at
    else at++
  }
  return text.length
}

/** The end of a cell that is not quoted. */
function plainEnd(text: string, from: number, separator: number): number {
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === separator || code === LF || code === CR) return at
  }
  return text.length
}

function countNewlines(text: string): number {
  let count = 0
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count++
  return count
}

/** Formats a cell for `csvRows`; quotes it if necessary or ambiguous, and if it is an empty string. */
export function csvCell(text: string): string {
  return text === '' || /[",;|\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
