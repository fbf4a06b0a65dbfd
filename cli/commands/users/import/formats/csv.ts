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

/** The texts of a true or false cell, in lower case. */
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
/** Marks a user without any role; an empty cell means that the roles are not specified. */
const NO_ROLES = '-'

/**
 * Reads this tool's own CSV. The first row names the columns in any order and case. An unknown column is refused, so that
 * no data is ignored silently. An empty cell means "not specified", except that a quoted empty name is an empty name.
 * @throws Failure if the first row is not valid
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
      `The first row must name the columns, but ${JSON.stringify(safeName(unknown))} is not one of ${COLUMNS.join(', ')}`,
    )
  const duplicate = names.find((name, index) => names.indexOf(name) !== index)
  if (duplicate !== undefined) throw usage(`The first row names the column ${duplicate} twice`)
  if (!names.includes('email')) throw usage('The first row has no column email')
  return names as Column[]
}

/** Cuts a name and removes control characters: without a header row, the first row is user data. */
function safeName(name: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it takes out
  return name.slice(0, 40).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '?')
}

function recordOf(place: number, cells: Cell[], columns: Column[]): ImportRecord {
  if (cells.length !== columns.length)
    return { place, fault: `The row has ${cells.length} cells, but the first row has ${columns.length}` }
  const user: ImportLine = {}
  for (let n = 0; n < columns.length; n++) {
    const fault = setColumn(user, columns[n] as Column, cells[n] as Cell)
    if (fault) return { place, fault }
  }
  return { place, user }
}

function setColumn(user: ImportLine, column: Column, { text, isQuoted }: Cell): FaultyRecord['fault'] | undefined {
  const isEmpty = column === 'password' ? text === '' : text.trim() === ''
  if (isEmpty && !(isQuoted && column === 'name')) return undefined
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

/** Parses a cell of JSON; undefined if it is not valid or too deep. */
function jsonIn(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && isDeeper(value, DEPTH_MAX) ? undefined : value
  } catch {
    // The parser's message would quote the cell.
    return undefined
  }
}

/** Splits a cell into roles, but not at spaces: BILLING ADMIN must not become the roles BILLING and ADMIN. */
function rolesIn(text: string): string[] {
  const names = text.split(/[,;\r\n]/).map((name) => name.trim())
  return names.filter((name) => name !== '')
}

/** The columns of an export, in order. */
export function csvColumns({ withHashes }: { withHashes: boolean }): Column[] {
  return COLUMNS.filter((column) => column !== 'password' && (withHashes || column !== 'password_hash'))
}

/** Formats a user as a row that `csv` can read. */
export function csvRow(user: ImportLine, columns: readonly Column[]): string {
  return columns.map((column) => cellOf(user[column], JSON_COLUMNS.has(column))).join(',')
}

function cellOf(value: unknown, isJson: boolean): string {
  if (value === null || value === undefined) return ''
  if (isJson) return csvCell(JSON.stringify(value))
  if (Array.isArray(value)) return value.length === 0 ? NO_ROLES : value.join(';')
  return csvCell(String(value))
}
