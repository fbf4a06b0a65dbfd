import { EXIT, Failure, usage } from '../../../exit.ts'
import { Progress } from '../../../terminal/progress.ts'
import { quoted } from '../../../terminal/shell.ts'
import { onStop } from '../../../terminal/signals.ts'
import { count, note } from '../../../terminal/terminal.ts'
import type { Tool } from '../../../tool/command.ts'
import { type Batch, batches } from './batches.ts'
import { newRunId } from './derived-id.ts'
import { dryRun } from './dry-run.ts'
import { ErrorsFile, ErrorsOnTerminal, type RefusalLog } from './errors-file.ts'
import { FactorSender } from './factors.ts'
import { Input } from './input.ts'
import { type Journal, JournalFile, sameFile } from './journal.ts'
import { type ImportOptions, requireSameSettings, settingsOf } from './options.ts'
import { Records } from './records.ts'
import { addOutcomes, noCounts, printResult, refusalsOf, totalOf } from './report.ts'
import { ImportRequests } from './requests.ts'
import { RetryingSender } from './retry.ts'
import { skippedWarnings } from './skipped-fields.ts'

/** Runs `users import <file|->`. */
export async function importUsers(tool: Tool, options: ImportOptions, name: string): Promise<void> {
  const input = new Input(name)
  const startedAt = performance.now()
  if (options.dryRun) {
    if (options.resume) throw usage('--dry-run and --resume cannot be combined')
    return dryRun(tool, input, settingsOf(options, input))
  }
  const { addresses } = await tool.connection()
  const warn = (text: string) => tool.globals.quiet || note(`! ${text}`)
  const journalFile = input.path === null ? null : new JournalFile(tool.env, input.path, addresses.users.value, warn)
  const run = startOrResume(tool, options, input, journalFile)
  if (run.journal.finished) tool.out.say('This import is already finished: nothing to do')
  else {
    const api = await tool.api()
    await run.work(new ImportRequests(api, (lines) => run.showProgress(lines)), new FactorSender(api))
  }
  await printResult(tool, run.journal.counts, performance.now() - startedAt)
}

/**
 * Continues the import in the journal with `--resume`, or else begins a new one.
 * @throws Failure if the import to resume had another file or other settings
 */
function startOrResume(tool: Tool, options: ImportOptions, input: Input, journalFile: JournalFile | null): ImportRun {
  const previous = journalFile?.read() ?? null
  const identity = input.identity ?? { size: 0, mtime: 0, digest: '' }
  if (options.resume && previous) {
    if (!sameFile(previous.file, identity))
      throw new Failure(EXIT.failed, `${input.name} has changed since the import was started`, {
        code: 'file_changed',
        suggestion: `ch202 users import ${quoted(input.name)} --on-conflict skip`,
      })
    const settings = settingsOf({ ...optionsOf(previous), ...options }, input)
    requireSameSettings(options, settings, previous.settings)
    return new ImportRun(tool, input, journalFile, previous)
  }
  const settings = settingsOf(options, input)
  if (options.resume) tool.out.say(`No earlier import of ${input.name} found: starting from the beginning`)
  else if (previous && !previous.finished)
    tool.out.say(
      `An earlier import of ${input.name} stopped after ${count(previous.acknowledged)} records: starting from the beginning (--resume would continue it)`,
    )
  return new ImportRun(tool, input, journalFile, {
    version: 2,
    run: newRunId(Date.now()),
    file: identity,
    settings,
    acknowledged: 0,
    sent: 0,
    since: 0,
    counts: noCounts(),
    errorsBytes: 0,
    finished: false,
  })
}

/** Turns the settings in a journal back into the options of the command line. */
function optionsOf({ settings }: Journal): ImportOptions {
  const { errors, format, hashConfig, keepAdmins, onConflict, roleMap } = settings
  return {
    format,
    onConflict,
    keepAdmins,
    roleMap: roleMap.map((pair) => pair.join('=')),
    ...(errors === null ? {} : { errors }),
    ...(hashConfig === null ? {} : { hashConfig }),
  }
}

/** Takes what an import reads. */
interface Receivers {
  sender: RetryingSender
  factors: FactorSender
  refusalLog: RefusalLog
}

/** One import, from the position in its journal to the end of the file. */
class ImportRun {
  private readonly progress: Progress
  private stopping = false
  /** Ends the wait for the next batch. */
  private stopWaiting: (() => void) | undefined
  /** Number of lines with a result in this run, for the progress. */
  private answered = 0

  constructor(
    private readonly tool: Tool,
    private readonly input: Input,
    private readonly journalFile: JournalFile | null,
    readonly journal: Journal,
  ) {
    this.progress = new Progress('users', tool.globals.quiet)
  }

  /** Imports the rest of the file. @throws Failure with the command that continues, if the import stops */
  async work(requests: ImportRequests, factors: FactorSender): Promise<void> {
    const { journal } = this
    const { errors, onConflict } = journal.settings
    const sender = new RetryingSender(requests, onConflict)
    onStop(
      () => {
        this.stopping = true
        sender.stopping = true
        this.stopWaiting?.()
        this.progress.clear()
        note('Stopping after this batch …')
      },
      () => process.exit(EXIT.interrupted),
    )
    const records = new Records(this.input, journal.settings, this.tool.globals.quiet)
    await requests.checkReachable()
    // From here on `--resume` continues this import, not an earlier one.
    this.journalFile?.write(journal)
    const refusalLog = errors === null ? new ErrorsOnTerminal() : new ErrorsFile(errors, journal.errorsBytes)
    try {
      const source = batches(records, journal.run, journal.acknowledged, journal.sent)
      await this.sendAll(source, { sender, factors, refusalLog })
    } catch (error) {
      throw this.explainStop(error)
    } finally {
      this.input.close()
      this.progress.clear()
      refusalLog.close()
    }
    if (!this.tool.globals.quiet)
      for (const warning of [...skippedWarnings(journal.counts), ...records.unusedRoleMap]) note(`! ${warning}`)
  }

  /** @param lines number of further lines with a result */
  showProgress(lines: number): void {
    this.answered += lines
    const { part } = this.input
    this.progress.update(this.answered, part === undefined ? {} : { part })
  }

  /** Reads the next batch while the service works on the current one. */
  private async sendAll(source: AsyncGenerator<Batch>, to: Receivers): Promise<void> {
    let next = source.next()
    for (;;) {
      const { done, value } = await this.unlessStopped(next)
      if (done) break
      next = source.next()
      // The loop awaits this promise, and its error, only after the current batch.
      next.catch(() => undefined)
      if (this.stopping) throw INTERRUPTED
      await this.sendBatch(value, to)
    }
    this.journal.finished = true
    this.journalFile?.write(this.journal)
  }

  /** Waits for a batch or a signal. A race against one long-lived promise would keep every batch in memory. */
  private unlessStopped<T>(next: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.stopWaiting = () => reject(INTERRUPTED)
      next.then(resolve, reject)
      // Queued behind a result that is already available: it may be the end of the file.
      if (this.stopping) queueMicrotask(this.stopWaiting)
    })
  }

  private async sendBatch(batch: Batch, { factors, refusalLog, sender }: Receivers): Promise<void> {
    const { journal } = this
    const doubtful = batch.until <= journal.sent
    if (!doubtful) {
      journal.sent = batch.until
      journal.since = sender.now()
    }
    // One write records both the results of the previous batch and that this one is sent.
    this.journalFile?.write(journal)
    const outcomes = await sender.send(batch.lines, doubtful, journal.since)
    // Before the batch counts as done: an import that stops here sends it again.
    const counts = { ...journal.counts, skippedFields: { ...journal.counts.skippedFields } }
    await factors.send(batch, outcomes, counts)
    journal.counts = counts
    refusalLog.write(refusalsOf(batch, outcomes))
    journal.errorsBytes = refusalLog.bytes
    addOutcomes(journal.counts, batch, outcomes)
    journal.acknowledged = batch.until
  }

  /** Adds to a failure how many records were imported and the command that continues. */
  private explainStop(thrown: unknown): unknown {
    if (!(thrown instanceof Failure) || thrown.exit === EXIT.usage) return thrown
    const error = this.stopping ? INTERRUPTED : thrown
    const name = quoted(this.input.name)
    const { settings } = this.journal
    const suggestion = this.journalFile?.isWritten
      ? `ch202 users import ${name} --resume`
      : `ch202 users import ${name} --format ${settings.format} --on-conflict ${settings.onConflict === 'update' ? 'update' : 'skip'}`
    this.journalFile?.write(this.journal)
    const message = `${error.message}, after ${count(totalOf(this.journal.counts))} records`
    return new Failure(error.exit, message, { ...error.details, suggestion })
  }
}

const INTERRUPTED = new Failure(EXIT.interrupted, 'Stopped', { code: 'interrupted', retryable: true })
