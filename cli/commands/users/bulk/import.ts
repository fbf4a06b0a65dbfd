import type { Tool } from '../../../command.ts'
import { EXIT, Failure, usage } from '../../../exit.ts'
import { quoted } from '../../../terminal/shell.ts'
import { onStop } from '../../../terminal/signals.ts'
import { count, note, Progress } from '../../../terminal/terminal.ts'
import { type Batch, batches } from './batches.ts'
import { leftBehind, noCounts, totalOf } from './counts.ts'
import { newRun } from './derived-id.ts'
import { dryRun } from './dry-run.ts'
import { ErrorsFile, ErrorsShown, type Refusals } from './errors-file.ts'
import { type ImportOptions, sameAsBegun, settingsOf } from './import-options.ts'
import { Input } from './input.ts'
import { type Journal, JournalFile, sameFile } from './journal.ts'
import { add, refusalsOf } from './outcomes.ts'
import { Records } from './records.ts'
import { Sender } from './sender.ts'
import { finish } from './summary.ts'
import { Wire } from './wire.ts'

/** `users import <file|->` */
export async function importUsers(tool: Tool, options: ImportOptions, name: string): Promise<void> {
  const input = new Input(name)
  const startedAt = performance.now()
  if (options.dryRun) {
    if (options.resume) throw usage('--dry-run and --resume exclude each other')
    return dryRun(tool, input, settingsOf(options, input))
  }
  const { addresses } = await tool.connection()
  const says = (text: string) => tool.globals.quiet || note(`! ${text}`)
  const file = input.path === null ? null : new JournalFile(tool.env, input.path, addresses.users.value, says)
  const run = begin(tool, options, input, file)
  if (run.journal.finished) tool.out.say('This import was finished before: nothing is left to do')
  else await run.work(new Wire(await tool.api(), (lines) => run.tell(lines)))
  await finish(tool, run.journal.counts, performance.now() - startedAt)
}

/** @throws Failure where there is something else to go on with than what was asked for */
function begin(tool: Tool, options: ImportOptions, input: Input, file: JournalFile | null): Run {
  const found = file?.read() ?? null
  const identity = input.identity ?? { size: 0, mtime: 0, digest: '' }
  if (options.resume && found) {
    if (!sameFile(found.file, identity))
      throw new Failure(EXIT.failed, `${input.name} is not the file any more that the import was begun with`, {
        code: 'file_changed',
        suggestion: `ch202 users import ${quoted(input.name)} --on-conflict skip`,
      })
    sameAsBegun(options, settingsOf({ ...begunOptions(found), ...options }, input), found.settings)
    return new Run(tool, input, file, found)
  }
  const settings = settingsOf(options, input)
  if (options.resume) tool.out.say(`No import of ${input.name} was begun here: it begins now`)
  else if (found && !found.finished)
    tool.out.say(
      `An import of ${input.name} stopped after ${count(found.acknowledged)} records (--resume goes on with it): it begins again`,
    )
  return new Run(tool, input, file, {
    version: 2,
    run: newRun(Date.now()),
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

/** What the journal holds, as the options that it was begun with. */
function begunOptions({ settings }: Journal): ImportOptions {
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

/** An import, from where its journal says to the end of the file. */
class Run {
  private readonly progress: Progress
  private stopping = false
  /** Ends the wait for what comes next. */
  private giveUp: (() => void) | undefined
  private answered = 0

  constructor(
    private readonly tool: Tool,
    private readonly input: Input,
    private readonly file: JournalFile | null,
    readonly journal: Journal,
  ) {
    this.progress = new Progress('users', tool.globals.quiet)
  }

  async work(wire: Wire): Promise<void> {
    const { journal } = this
    const { errors, onConflict } = journal.settings
    const sender = new Sender(wire, onConflict)
    onStop(
      () => {
        this.stopping = true
        sender.stopping = true
        this.giveUp?.()
        this.progress.clear()
        note('Stopping after this batch …')
      },
      () => process.exit(EXIT.interrupted),
    )
    const records = new Records(this.input, journal.settings, this.tool.globals.quiet)
    await wire.greet()
    // From here on it is this import that is gone on with, and none of before.
    this.file?.write(journal)
    const refusals = errors === null ? new ErrorsShown() : new ErrorsFile(errors, journal.errorsBytes)
    try {
      await this.all(batches(records, journal.run, journal.acknowledged, journal.sent), sender, refusals)
    } catch (error) {
      throw this.stopped(error)
    } finally {
      this.input.close()
      this.progress.clear()
      refusals.close()
    }
    if (!this.tool.globals.quiet)
      for (const warning of [...leftBehind(journal.counts), ...records.unusedMap]) note(`! ${warning}`)
  }

  tell(lines: number): void {
    this.answered += lines
    const { part } = this.input
    this.progress.update(this.answered, part === undefined ? {} : { part })
  }

  /** While one batch is under way the next is read. */
  private async all(source: AsyncGenerator<Batch>, sender: Sender, refusals: Refusals): Promise<void> {
    let coming = source.next()
    for (;;) {
      const { done, value } = await this.unlessStopped(coming)
      if (done) break
      coming = source.next()
      // Told when its turn comes.
      coming.catch(() => undefined)
      if (this.stopping) throw INTERRUPTED
      await this.settle(value, sender, refusals)
    }
    this.journal.finished = true
    this.file?.write(this.journal)
  }

  /** Not a race with one promise of all of the import: that would keep every batch until the end. */
  private unlessStopped<T>(coming: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.giveUp = () => reject(INTERRUPTED)
      coming.then(resolve, reject)
      // After what is there already: it may be the end.
      if (this.stopping) queueMicrotask(this.giveUp)
    })
  }

  private async settle(batch: Batch, sender: Sender, refusals: Refusals): Promise<void> {
    const { journal } = this
    const doubtful = batch.until <= journal.sent
    if (!doubtful) {
      journal.sent = batch.until
      journal.since = sender.now()
    }
    // What was answered before, and what goes out now: one write for both.
    this.file?.write(journal)
    const outcomes = await sender.send(batch.lines, doubtful, journal.since)
    refusals.write(refusalsOf(batch, outcomes))
    journal.errorsBytes = refusals.bytes
    add(journal.counts, batch, outcomes)
    journal.acknowledged = batch.until
  }

  private stopped(thrown: unknown): unknown {
    if (!(thrown instanceof Failure) || thrown.exit === EXIT.usage) return thrown
    const error = this.stopping ? INTERRUPTED : thrown
    const name = quoted(this.input.name)
    const { settings } = this.journal
    const suggestion = this.file?.isWritten
      ? `ch202 users import ${name} --resume`
      : `ch202 users import ${name} --format ${settings.format} --on-conflict ${settings.onConflict === 'update' ? 'update' : 'skip'}`
    this.file?.write(this.journal)
    const message = `${error.message}, after ${count(totalOf(this.journal.counts))} records`
    return new Failure(error.exit, message, { ...error.said, suggestion })
  }
}

const INTERRUPTED = new Failure(EXIT.interrupted, 'Stopped', { code: 'interrupted', retryable: true })
