import { EXIT, Failure } from '../../../exit.ts'
import { Progress } from '../../../terminal/progress.ts'
import { onStop } from '../../../terminal/signals.ts'
import { count, note, write } from '../../../terminal/terminal.ts'
import type { Tool } from '../../../tool/command.ts'
import { createRecordCheck } from './check-record.ts'
import { ErrorsFile, ErrorsOnTerminal } from './errors-file.ts'
import type { Input } from './input.ts'
import type { ImportSettings } from './options.ts'
import { Records } from './records.ts'
import type { Refusal } from './refusal.ts'
import { type Counts, exitFor, noCounts } from './report.ts'
import { countSkipped, expectedSkippedFieldsOf, skippedWarnings } from './skipped-fields.ts'

/** Refusals that are written together. */
const REFUSALS_MAX = 1000
/** Records between two pauses for signal handlers. */
const PAUSE_EVERY = 1000

/** Reads and checks a file without asking a service, so conflicts with existing users stay unknown. */
export async function dryRun(tool: Tool, input: Input, settings: ImportSettings): Promise<void> {
  const startedAt = performance.now()
  const check = await createRecordCheck(tool.env)
  const refusalLog = settings.errors === null ? new ErrorsOnTerminal() : new ErrorsFile(settings.errors, 0)
  const progress = new Progress('records', tool.globals.quiet)
  const stop = new AbortController()
  onStop(
    () => {
      stop.abort()
      input.close()
    },
    () => process.exit(EXIT.interrupted),
  )
  const records = new Records(input, settings, tool.globals.quiet)
  const counts = noCounts()
  const refusals: Refusal[] = []
  let ready = 0
  try {
    for await (const record of records) {
      const refusal = check(record)
      if (!('fault' in record)) {
        counts.roles.add(record.skippedRoles)
        if (!refusal) countSkipped(counts.skippedFields, expectedSkippedFieldsOf(record))
      }
      if (refusal) {
        refusals.push(refusal)
        counts.failed++
      } else ready++
      if (stop.signal.aborted) break
      if (refusals.length === REFUSALS_MAX) refusalLog.write(refusals.splice(0))
      if ((ready + counts.failed) % PAUSE_EVERY === 0) await yieldToSignals(progress, ready + counts.failed, input)
    }
  } finally {
    progress.clear()
    refusalLog.write(refusals)
    refusalLog.close()
  }
  if (stop.signal.aborted) throw new Failure(EXIT.interrupted, 'Stopped: nothing was imported', { code: 'interrupted' })
  if (!tool.globals.quiet)
    for (const warning of [...skippedWarnings(counts), ...records.unusedRoleMap]) note(`! ${warning}`)
  await printDryRun(tool, ready, counts, performance.now() - startedAt)
}

/** Lets signal handlers run, Ctrl-C for example. */
async function yieldToSignals(progress: Progress, done: number, { part }: Input): Promise<void> {
  progress.update(done, part === undefined ? {} : { part })
  await Bun.sleep(0)
}

async function printDryRun(tool: Tool, ready: number, { failed, roles }: Counts, durationMs: number): Promise<void> {
  const total = ready + failed
  if (tool.out.options.output === 'table')
    await write(`${count(ready)} can be imported, ${count(failed)} cannot; nothing was imported`)
  else if (tool.out.options.output !== 'ids') {
    const duration_ms = Math.round(durationMs)
    await tool.out.record({ dry_run: true, ready, failed, total, changed: false, duration_ms, ...roles.fields })
  }
  process.exitCode = exitFor(failed, total)
}
