import { usage } from '../../exit.ts'
import { BOM } from '../../terminal/output.ts'
import { Progress } from '../../terminal/progress.ts'
import { put } from '../../terminal/terminal.ts'
import type { Tool } from '../../tool/command.ts'
import { type ChainFilter, chainPages } from './chain-pages.ts'
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
  for await (const { rows } of chainPages(tool, filter)) {
    yield rows.map((row) => ({ ...row, hash: linkOfRow(row).hash }))
    count += rows.length
    progress.update(count)
  }
}

async function* asJson(parts: AsyncIterable<ExportedRow[]>): AsyncGenerator<string[]> {
  for await (const rows of parts) yield rows.map((row) => JSON.stringify(row))
}
