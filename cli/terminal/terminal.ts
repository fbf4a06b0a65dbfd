import { ON_TERMINAL } from '../../services/kit/process/config.ts'
import { emailKey } from '../../services/kit/schema/email.ts'
import { EXIT, Failure, usage } from '../exit.ts'
import { wrapped } from './columns.ts'

/** A line, or several, of data on standard output, as `put`. */
export function write(text: string): Promise<void> {
  return put(`${text}\n`)
}

/** Data, on standard output, as it is. Resolves when the reader can take more, or has gone. */
export function put(data: string | Uint8Array): Promise<void> {
  // Not by `drain`, which never comes where the reader has gone.
  return new Promise((resolve) => {
    if (process.stdout.write(data, () => resolve())) resolve()
  })
}

/**
 * Minds what becomes of standard output. A reader that has seen enough (`| head -1`) is no failure: there is no one to
 * go on for.
 * @param goOn where what is done matters more than who reads of it
 */
export function handleBrokenPipe({ goOn = false } = {}): void {
  process.stdout.removeAllListeners('error')
  // There is nowhere left to say that nothing can be said; the exit status still tells.
  process.stderr.removeAllListeners('error').on('error', () => undefined)
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' && goOn) return
    if (error.code === 'EPIPE') process.exit(EXIT.done)
    note(`✗ Standard output: ${error.message} (failed)`)
    process.exit(EXIT.failed)
  })
}

/** Display columns of a terminal, 80 where it does not say; undefined: it is none. */
export function width(stream: NodeJS.WriteStream): number | undefined {
  return stream.isTTY === true ? stream.columns || 80 : undefined
}

/** Text for people, parted at blanks for a terminal. A command stays one line: it is copied. */
export function prose(text: string, stream: NodeJS.WriteStream): string {
  const columns = width(stream)
  if (columns === undefined) return text
  return text
    .split('\n')
    .flatMap((line) => (line.includes('→ ') ? [line] : wrapped(line, columns)))
    .join('\n')
}

/** Everything that is not data. */
export function note(text: string): void {
  process.stderr.write(`${prose(text, process.stderr)}\n`)
}

/** Whether there is someone to ask: a prompt without both ends of a terminal would wait for ever. */
export function canAsk(): boolean {
  return process.stdin.isTTY === true && process.stdout.isTTY === true
}

/** Whether lines to `stream` may bear colours: https://no-color.org, and terminals that know none. */
export function colored(stream: NodeJS.WriteStream, wanted: boolean): boolean {
  return wanted && stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb'
}

/**
 * The environment, in which services find that a terminal shows what they print. One that was told so by the tool that
 * started it, whose terminal it is, goes by that.
 */
export function terminalEnvironment<Env extends Record<string, string | undefined>>(env: Env, color: boolean): Env {
  if (process.stdout.isTTY !== true) return env
  return { ...env, [ON_TERMINAL]: colored(process.stdout, color) ? 'color' : 'plain' }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it finds
const STEERING = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g

/** Control characters in what came from outside must not steer the terminal that shows it. */
export function plain(text: string): string {
  return text.replaceAll(STEERING, '�')
}

/** As `plain`, for JSON, where nothing is lost by it. */
export function escaped(json: string): string {
  return json.replaceAll(STEERING, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/**
 * Asks before what can't be undone.
 * @param given `--yes`, or `--confirm` with the name of what is at stake
 * @throws Failure where no one can be asked, the name is another, or the answer is no
 */
export async function confirm(
  question: string,
  given: { yes?: boolean | undefined; confirm?: string | undefined; name?: string },
): Promise<void> {
  if (given.confirm !== undefined) {
    if (given.name !== undefined && emailKey(given.confirm) === emailKey(given.name)) return
    throw usage(`--confirm names something else: it is ${given.name}`)
  }
  if (given.yes) return
  if (!canAsk()) {
    const flags = given.name === undefined ? '--yes' : `--yes or --confirm ${given.name}`
    throw usage(`${question} This can't be undone: say so with ${flags}`)
  }
  const { confirm: ask, isCancel } = await import('@clack/prompts')
  const answer = await ask({ message: question, initialValue: false })
  if (isCancel(answer)) throw new Failure(EXIT.interrupted, 'Cancelled', { code: 'cancelled' })
  if (!answer) throw new Failure(EXIT.failed, 'Nothing was changed', { code: 'declined' })
}

const LINE_EVERY = 5000
const BAR_EVERY = 100
const BAR_WIDTH = 24

/** How far long work is, on standard error: a bar on a terminal, elsewhere a line every five seconds. */
export class Progress {
  private readonly startedAt = performance.now()
  private toldAt = performance.now()
  private shown = false

  /** @param noun what is counted, such as `users` */
  constructor(
    private readonly noun: string,
    private readonly quiet = false,
  ) {}

  /** @param total of what is counted, where it is known; `part` (0 to 1) where only a share is */
  update(done: number, known: { total?: number | null; part?: number } = {}): void {
    const now = performance.now()
    const live = process.stderr.isTTY === true && process.env.TERM !== 'dumb'
    if (this.quiet || now - this.toldAt < (live ? BAR_EVERY : LINE_EVERY)) return
    this.toldAt = now
    const part = known.part ?? (known.total ? Math.min(done / known.total, 1) : undefined)
    const rate = Math.round(done / Math.max((now - this.startedAt) / 1000, 0.001))
    const said = `${count(done)} ${this.noun}${part === undefined ? '' : ` (${Math.floor(part * 100)}%)`}, ${count(rate)}/s`
    if (!live) {
      note(said)
      return
    }
    this.shown = true
    const filled = Math.round((part ?? 0) * BAR_WIDTH)
    const bar = part === undefined ? '' : `[${'█'.repeat(filled)}${' '.repeat(BAR_WIDTH - filled)}] `
    process.stderr.write(`\r\x1b[2K${bar}${said}`)
  }

  /** Takes the bar away, for what is said next. */
  clear(): void {
    if (this.shown) process.stderr.write('\r\x1b[2K')
    this.shown = false
  }
}

/** 12431 as people read it: 12,431. */
export function count(number: number): string {
  return number.toLocaleString('en-US')
}
