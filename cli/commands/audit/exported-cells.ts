import { type Cell, csvCell } from '../users/import/text/csv-rows.ts'
import { EXPORTED_COLUMNS, type ExportedRow, NULLABLE } from './exported-row.ts'

/** The first characters of a cell that a spreadsheet would run as a formula (OWASP, CSV injection). */
const FORMULA = /^[=+\-@\t\r]/
/** Makes a spreadsheet show a cell as text. A cell that begins with it gets a second one, so that it can be removed. */
const AS_TEXT = "'"

/** Formats a row as a line of CSV that `rowOf` reads. What others chose, such as a request id, never runs as a formula. */
export function csvLine(row: ExportedRow): string {
  return EXPORTED_COLUMNS.map((name) => cellOf(name === 'detail' ? JSON.stringify(row.detail) : row[name])).join(',')
}

function cellOf(value: unknown): string {
  if (value === null) return ''
  const text = String(value)
  return csvCell(FORMULA.test(text) || text.startsWith(AS_TEXT) ? AS_TEXT + text : text)
}

/**
 * Reads a line of CSV.
 * @param names the columns, in their order
 * @returns undefined if it is not a row of an export
 */
export function rowOf(names: readonly string[], cells: readonly Cell[]): unknown {
  if (cells.length !== names.length) return undefined
  const entries = names.map((name, index): [string, unknown] => {
    const { isQuoted, text } = cells[index] as Cell
    const value = text.startsWith(AS_TEXT) ? text.slice(AS_TEXT.length) : text
    if (value === '' && !isQuoted && NULLABLE.includes(name)) return [name, null]
    if (name === 'seq') return [name, Number(value)]
    return [name, name === 'detail' ? jsonIn(value) : value]
  })
  return Object.fromEntries(entries)
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
