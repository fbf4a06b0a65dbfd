import { EXIT, Failure, usage } from '../../exit.ts'
import { BOM } from '../../terminal/output.ts'
import { Progress } from '../../terminal/progress.ts'
import { put } from '../../terminal/terminal.ts'
import type { Tool } from '../../tool/command.ts'
import { type ChainFilter, chainPages, firstInChain } from './chain-pages.ts'
import { csvLine } from './exported-cells.ts'
import { EXPORTED_COLUMNS, type ExportedRow, linkOfRow } from './exported-row.ts'

const FORMATS: Record<'jsonl' | 'csv' | 'ids', (row: ExportedRow) => string> = {
  jsonl: (row) => JSON.stringify(row),
  csv: csvLine,
  ids: ({ id }) => id,
}

/** Writes the audit in the order of the chain, a page at a time, so that it can be verified without the installation. */
export async function exportAudit(tool: Tool, format: 'jsonl' | 'csv' | undefined, filter: ChainFilter): Promise<void> {
  const { bom, output } = tool.out.options
  if (output === 'json' && format !== undefined) throw usage('--format and -o json cannot be combined')
  if (bom && format === 'jsonl') throw usage('--bom requires --format csv')
  const outputFormat = format ?? (output === 'csv' || output === 'ids' ? output : 'jsonl')
  const progress = new Progress('rows', tool.globals.quiet)
  const parts = exportedPages(tool, filter, progress)
  try {
    if (output === 'json') return await tool.out.items(asJson(parts))
    if (outputFormat === 'csv') await put(`${bom ? BOM : ''}${EXPORTED_COLUMNS.join(',')}\n`)
    const formatRow = FORMATS[outputFormat]
    for await (const rows of parts) await put(rows.map((row) => `${formatRow(row)}\n`).join(''))
  } finally {
    progress.clear()
  }
}

async function* exportedPages(tool: Tool, filter: ChainFilter, progress: Progress): AsyncGenerator<ExportedRow[]> {
  let count = 0
  let last: ExportedRow | undefined
  for await (const { rows } of chainPages(tool, filter)) {
    const page = rows.map((row) => ({ ...row, hash: linkOfRow(row).hash }))
    if (last && page[0]?.prev_hash !== last.hash) await assertNoneRemoved(tool, filter, last)
    last = page.at(-1)
    yield page
    count += rows.length
    progress.update(count)
  }
}

/**
 * Checks that AUDIT_RETENTION has not removed rows between two pages: such a file would never verify. An export that selects rows
 * has gaps anyway.
 * @param last the last row of the page before
 * @throws Failure if rows are missing
 */
async function assertNoneRemoved(tool: Tool, { type, user_id }: ChainFilter, last: ExportedRow): Promise<void> {
  if (type !== undefined || user_id !== undefined) return
  const first = await firstInChain(tool)
  if (first === undefined || first <= last.seq + 1) return
  throw new Failure(
    EXIT.tryAgain,
    'Rows were removed by AUDIT_RETENTION before they were exported: the export is incomplete. Try again',
    { code: 'rows_removed', retryable: true },
  )
}

async function* asJson(parts: AsyncIterable<ExportedRow[]>): AsyncGenerator<string[]> {
  for await (const rows of parts) yield rows.map((row) => JSON.stringify(row))
}
