import type { Tool } from '../../../command.ts'
import { EXIT } from '../../../exit.ts'
import { count, write } from '../../../terminal/terminal.ts'
import { type Counts, STATUSES, totalOf } from './counts.ts'

/** Says what an import came to; the exit status tells whether all of it, a part, or nothing was done. */
export async function finish(tool: Tool, counts: Counts, duration: number): Promise<void> {
  const { created, failed, skipped, unchanged, updated } = counts
  const total = totalOf(counts)
  const changed = created + updated > 0
  if (tool.out.form.output === 'table')
    await write(`${STATUSES.map((status) => `${count(counts[status])} ${status}`).join(', ')}`)
  else if (tool.out.form.output !== 'ids') {
    const duration_ms = Math.round(duration)
    await tool.out.record({
      created,
      updated,
      unchanged,
      skipped,
      failed,
      total,
      changed,
      duration_ms,
      ...counts.roles.read,
    })
  }
  process.exitCode = exitFor(failed, total)
}

export function exitFor(failed: number, total: number): number {
  if (failed === 0) return EXIT.done
  return failed === total ? EXIT.failed : EXIT.partly
}
