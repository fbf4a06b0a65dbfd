import { EXIT, Failure, usage } from '../../../exit.ts'
import { BOM } from '../../../terminal/output.ts'
import { Progress, put } from '../../../terminal/terminal.ts'
import type { Tool } from '../../../tool/command.ts'
import { csvColumns, csvRow } from '../import/formats/csv.ts'
import type { Column, ImportLine } from '../import/record/record.ts'
import { bodyOf } from '../import/response.ts'

export interface ExportOptions {
  format?: 'jsonl' | 'csv'
  withHashes?: boolean
}

const LF = 10

/** `users export`: what it writes, `users import` reads, but for the one JSON value of `-o json`. */
export async function exportUsers(tool: Tool, { format, withHashes = false }: ExportOptions): Promise<void> {
  const { output } = tool.out.options
  if (output === 'json' && format !== undefined) throw usage('--format and -o json exclude each other')
  if (tool.out.options.bom && format === 'jsonl') throw usage('--bom is for CSV: give --format csv')
  const wanted = format ?? (output === 'csv' || output === 'ids' ? output : 'jsonl')
  const api = await tool.api()
  const stop = new AbortController()
  const response = await api.fetch('users', `/api/v1/users/export?with_hashes=${withHashes}`, { signal: stop.signal })
  await api.refuseProblem('users', response)
  const progress = new Progress('users', tool.globals.quiet)
  const columns = csvColumns(withHashes)
  if (wanted === 'csv') await put(`${tool.out.options.bom ? BOM : ''}${columns.join(',')}\n`)
  const read = wholeLines(response, stop)
  try {
    if (output === 'json') return await tool.out.items(itemsIn(read, progress))
    let users = 0
    for await (const lines of read) {
      users += linesIn(lines)
      await put(wanted === 'jsonl' ? lines : rowsOf(lines, wanted === 'ids' ? ['id'] : columns))
      progress.update(users)
    }
  } finally {
    progress.clear()
  }
}

async function* itemsIn(read: AsyncIterable<Buffer>, progress: Progress): AsyncGenerator<string[]> {
  let users = 0
  for await (const lines of read) {
    const items = lines.toString().trimEnd().split('\n')
    yield items
    users += items.length
    progress.update(users)
  }
}

/** @throws Failure where the answer is not whole */
async function* wholeLines(response: Response, stop: AbortController): AsyncGenerator<Buffer> {
  const pending: Uint8Array[] = []
  try {
    for await (const chunk of bodyOf(response, stop)) {
      const end = chunk.lastIndexOf(LF) + 1
      if (end > 0) yield Buffer.concat([...pending.splice(0), chunk.subarray(0, end)])
      if (end < chunk.length) pending.push(chunk.slice(end))
    }
  } catch (error) {
    if (error instanceof Failure) throw error
    throw CUT
  }
  if (pending.length > 0) throw CUT
}

const CUT = new Failure(EXIT.tryAgain, 'The export broke off: what was written is not all of it', {
  code: 'export_cut',
  retryable: true,
})

function rowsOf(lines: Buffer, columns: readonly Column[]): string {
  const users = lines.toString().trimEnd().split('\n')
  return users.map((line) => `${csvRow(JSON.parse(line) as ImportLine, columns)}\n`).join('')
}

function linesIn(bytes: Buffer): number {
  let count = 0
  for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, at + 1)) count++
  return count
}
