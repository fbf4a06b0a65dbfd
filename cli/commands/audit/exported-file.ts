import { EXIT, Failure } from '../../exit.ts'
import type { Input } from '../users/import/input.ts'
import { csvRows } from '../users/import/text/csv-rows.ts'
import { type Bytes, textLines } from '../users/import/text/text-lines.ts'
import { rowOf } from './exported-cells.ts'
import type { ExportedRow } from './exported-row.ts'

/** A row of an export: JSON lines begin with a brace, CSV with the name of a column. */
const JSON_LINES = /^\ufeff?\s*\{/

/** Yields the rows of an exported file, JSON lines or CSV. @throws Failure for a line that is no row of an export */
export async function* exportedRows(input: Input): AsyncGenerator<ExportedRow> {
  const chunks = input.bytes()
  const first = await chunks.next()
  if (first.done) return
  const bytes = (async function* () {
    yield first.value
    yield* chunks
  })()
  yield* JSON_LINES.test(Buffer.from(first.value).toString()) ? jsonRows(bytes) : csvTable(bytes)
}

async function* jsonRows(bytes: Bytes): AsyncGenerator<ExportedRow> {
  for await (const one of textLines(bytes)) {
    if ('fault' in one) throw noRow(one.line)
    if (one.text.trim() === '') continue
    yield checkedRow(parsed(one.text), one.line)
  }
}

async function* csvTable(bytes: Bytes): AsyncGenerator<ExportedRow> {
  let names: string[] | undefined
  for await (const one of csvRows(bytes)) {
    if ('fault' in one) throw noRow(one.line)
    if (names) yield checkedRow(rowOf(names, one.cells), one.line)
    else names = one.cells.map(({ text }) => text.replace(/^\ufeff/, '').trim())
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Types by column: what the hash of a row is computed from. */
const TYPES: [type: RegExp, ...names: (keyof ExportedRow)[]][] = [
  [/^number$/, 'seq'],
  [/^string$/, 'id', 'at', 'type', 'actor', 'hash'],
  [/^(string|null)$/, 'user_id', 'ip', 'request_id', 'prev_hash', 'origin_seal', 'detail_seal', 'row_hash'],
  [/^object$/, 'detail'],
]

/** @throws Failure if a value is no row of an export */
function checkedRow(value: unknown, line: number): ExportedRow {
  if (typeof value !== 'object' || value === null) throw noRow(line)
  const row = value as Record<string, unknown>
  const fits = TYPES.every(([type, ...names]) =>
    names.every((name) => type.test(row[name] === null ? 'null' : typeof row[name])),
  )
  if (!fits) throw noRow(line)
  return value as ExportedRow
}

function noRow(line: number): Failure {
  return new Failure(EXIT.checkFailed, `Line ${line} is not a row of ch202 audit export`, { code: 'not_an_export' })
}
