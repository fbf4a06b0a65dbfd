import { EXIT, Failure, usage } from '../../../exit.ts'
import { BOM } from '../../../terminal/output.ts'
import { Progress } from '../../../terminal/progress.ts'
import { put } from '../../../terminal/terminal.ts'
import type { Tool } from '../../../tool/command.ts'
import { csvColumns, csvRow } from '../import/formats/csv.ts'
import type { Column, ImportLine } from '../import/record/record.ts'
import { chunksOf } from '../import/response.ts'

export interface ExportOptions {
  format?: 'jsonl' | 'csv'
  withHashes?: boolean
}

const LF = 10

/** Runs `users export`. `users import` can read its output, except for the single JSON value of `-o json`. */
export async function exportUsers(tool: Tool, { format, withHashes = false }: ExportOptions): Promise<void> {
  const { output } = tool.out.options
  if (output === 'json' && format !== undefined) throw usage('--format and -o json cannot be combined')
  if (tool.out.options.bom && format === 'jsonl') throw usage('--bom requires --format csv')
  const outputFormat = format ?? (output === 'csv' || output === 'ids' ? output : 'jsonl')
  const api = await tool.api()
  const stop = new AbortController()
  const response = await api.fetch('users', `/api/v1/users/export?with_hashes=${withHashes}`, { signal: stop.signal })
  await api.refuseProblem('users', response)
  const progress = new Progress('users', tool.globals.quiet)
  const columns = csvColumns({ withHashes })
  if (outputFormat === 'csv') await put(`${tool.out.options.bom ? BOM : ''}${columns.join(',')}\n`)
  const chunks = wholeLines(response, stop)
  try {
    if (output === 'json') return await tool.out.items(itemsIn(chunks, progress))
    let users = 0
    for await (const chunk of chunks) {
      users += lineCount(chunk)
      await put(outputFormat === 'jsonl' ? chunk : rowsOf(chunk, outputFormat === 'ids' ? ['id'] : columns))
      progress.update(users)
    }
  } finally {
    progress.clear()
  }
}

/** Yields the users as JSON, several at a time. */
async function* itemsIn(chunks: AsyncIterable<Buffer>, progress: Progress): AsyncGenerator<string[]> {
  let users = 0
  for await (const chunk of chunks) {
    const items = chunk.toString().trimEnd().split('\n')
    yield items
    users += items.length
    progress.update(users)
  }
}

/** Yields the lines of a response, several at a time. @throws Failure if the response is incomplete */
async function* wholeLines(response: Response, stop: AbortController): AsyncGenerator<Buffer> {
  const pending: Uint8Array[] = []
  try {
    for await (const chunk of chunksOf(response, stop)) {
      const end = chunk.lastIndexOf(LF) + 1
      if (end > 0) yield Buffer.concat([...pending.splice(0), chunk.subarray(0, end)])
      if (end < chunk.length) pending.push(chunk.slice(end))
    }
  } catch (error) {
    if (error instanceof Failure) throw error
    throw EXPORT_CUT
  }
  if (pending.length > 0) throw EXPORT_CUT
}

const EXPORT_CUT = new Failure(EXIT.tryAgain, 'The export was interrupted: its output is incomplete', {
  code: 'export_cut',
  retryable: true,
})

function rowsOf(lines: Buffer, columns: readonly Column[]): string {
  const users = lines.toString().trimEnd().split('\n')
  return users.map((line) => `${csvRow(JSON.parse(line) as ImportLine, columns)}\n`).join('')
}

function lineCount(bytes: Buffer): number {
  let count = 0
  for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, at + 1)) count++
  return count
}
