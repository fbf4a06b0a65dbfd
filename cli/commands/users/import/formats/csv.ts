import { usage } from '../../../../exit.ts'
import {
  COLUMNS,
  type Column,
  type FaultyRecord,
  type ImportLine,
  type ImportRecord,
  JSON_COLUMNS,
} from '../record/record.ts'
import { type Cell, csvCell, csvRows } from '../text/csv-rows.ts'
import type { Bytes } from '../text/text-lines.ts'
import { DEPTH_MAX, isDeeper } from './jsonl.ts'

const FLAGS: Record<string, boolean> = {
  true: true,
  t: true,
  yes: true,
  '1': true,
  false: false,
  f: false,
  no: false,
  '0': false,
}
/** How a user without any role is written: an empty cell is one that says nothing. */
const NO_ROLES = '-'

/**
 * Our own CSV. The first row names the columns, in any order and any case; a name that no import knows is refused, so
 * that nothing is left out unseen. An empty cell says nothing, but that a name in quotes may be an empty one.
 * @throws Failure where the first row is no such row
 */
export async function* csv(source: Bytes): AsyncGenerator<ImportRecord> {
  let columns: Column[] | null = null
  for await (const row of csvRows(source)) {
    if ('fault' in row) yield { place: row.line, fault: row.fault }
    else if (!columns) columns = columnsOf(row.cells)
    else yield recordOf(row.line, row.cells, columns)
  }
}

function columnsOf(cells: Cell[]): Column[] {
  const names = cells.map(({ text }) => text.trim().toLowerCase())
  const unknown = names.find((name) => !COLUMNS.some((column) => column === name))
  if (unknown !== undefined)
    throw usage(
      `The first row must name the columns, and ${JSON.stringify(shown(unknown))} is none: ${COLUMNS.join(', ')}`,
    )
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw usage(`The first row names the column ${twice} twice`)
  if (!names.includes('email')) throw usage('The first row names no column email')
  return names as Column[]
}

/** A file without a first row begins with someone's data: it is cut, and no control character gets through. */
function shown(name: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it takes out
  return name.slice(0, 40).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '?')
}

function recordOf(place: number, cells: Cell[], columns: Column[]): ImportRecord {
  if (cells.length !== columns.length)
    return { place, fault: `The row has ${cells.length} cells where the first row has ${columns.length}` }
  const user: ImportLine = {}
  for (let n = 0; n < columns.length; n++) {
    const fault = set(user, columns[n] as Column, cells[n] as Cell)
    if (fault) return { place, fault }
  }
  return { place, user }
}

function set(user: ImportLine, column: Column, { text, quoted }: Cell): FaultyRecord['fault'] | undefined {
  const isEmpty = column === 'password' ? text === '' : text.trim() === ''
  if (isEmpty && !(quoted && column === 'name')) return undefined
  if (column === 'roles') user.roles = text.trim() === NO_ROLES ? [] : rolesIn(text)
  else if (column === 'email_verified' || column === 'has_password') {
    const flag = FLAGS[text.trim().toLowerCase()]
    if (flag === undefined) return `${column} must be true or false`
    user[column] = flag
  } else if (JSON_COLUMNS.has(column)) {
    const value = jsonIn(text)
    if (value === undefined) return `${column} must be JSON that is nested at most ${DEPTH_MAX} levels deep`
    user[column] = value
  } else user[column] = text
  return undefined
}

function jsonIn(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && isDeeper(value, DEPTH_MAX) ? undefined : value
  } catch {
    // The parser's message would quote the cell.
    return undefined
  }
}

/** A blank is a part of a role's name: BILLING ADMIN must not become an ADMIN. */
function rolesIn(text: string): string[] {
  const names = text.split(/[,;\r\n]/).map((name) => name.trim())
  return names.filter((name) => name !== '')
}

/** The columns that an export writes, in their order. */
export function csvColumns(withHashes: boolean): Column[] {
  return COLUMNS.filter((column) => column !== 'password' && (withHashes || column !== 'password_hash'))
}

/** A user as a row that `csv` reads back. */
export function csvRow(user: ImportLine, columns: readonly Column[]): string {
  return columns.map((column) => cellOf(user[column], JSON_COLUMNS.has(column))).join(',')
}

function cellOf(value: unknown, isJson: boolean): string {
  if (value === null || value === undefined) return ''
  if (isJson) return csvCell(JSON.stringify(value))
  if (Array.isArray(value)) return value.length === 0 ? NO_ROLES : value.join(';')
  return csvCell(String(value))
}
