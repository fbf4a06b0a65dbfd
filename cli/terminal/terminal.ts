import { ON_TERMINAL } from '../../services/kit/process/config.ts'
import { EXIT } from '../exit.ts'
import { wrap } from './columns.ts'

/** Prints one or more lines of data on standard output; resolves as `put`. */
export function write(text: string): Promise<void> {
  return put(`${text}\n`)
}

/** Writes data to standard output. Resolves when the reader can take more, or is gone. */
export function put(data: string | Uint8Array): Promise<void> {
  // `drain` would never be emitted if the reader is gone.
  return new Promise((resolve) => {
    if (process.stdout.write(data, () => resolve())) resolve()
  })
}

/**
 * Handles EPIPE: a closed reader (`| head -1`) is a clean exit.
 * @param goOn continue the work without a reader, because it matters more than its output
 */
export function handleBrokenPipe({ goOn = false } = {}): void {
  process.stdout.removeAllListeners('error')
  // An error on standard error cannot be reported; the exit status still is.
  process.stderr.removeAllListeners('error').on('error', () => undefined)
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' && goOn) return
    if (error.code === 'EPIPE') process.exit(EXIT.done)
    note(`✗ Standard output: ${error.message} (failed)`)
    process.exit(EXIT.failed)
  })
}

/** Width of a terminal in display columns, 80 if unknown; undefined if the stream is not a terminal. */
export function width(stream: NodeJS.WriteStream): number | undefined {
  return stream.isTTY === true ? stream.columns || 80 : undefined
}

/** Wraps text at spaces for a terminal. A suggested command stays on one line so that it can be copied. */
export function prose(text: string, stream: NodeJS.WriteStream): string {
  const columns = width(stream)
  if (columns === undefined) return text
  return text
    .split('\n')
    .flatMap((line) => (line.includes('→ ') ? [line] : wrap(line, columns)))
    .join('\n')
}

/** Prints text for people on standard error. */
export function note(text: string): void {
  process.stderr.write(`${prose(text, process.stderr)}\n`)
}

/** Whether a prompt is possible: without a terminal at both ends it would wait forever. */
export function canAsk(): boolean {
  return process.stdin.isTTY === true && process.stdout.isTTY === true
}

/** Whether a prompt on standard error is possible, whatever reads standard output. */
export function canAskBeside(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true
}

/** Whether output to `stream` may be colored: respects https://no-color.org and dumb terminals. */
export function colored(stream: NodeJS.WriteStream, isEnabled: boolean): boolean {
  return isEnabled && stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb'
}

/** Tells services in their environment that a terminal shows their output, and whether in color. */
export function terminalEnvironment<Env extends Record<string, string | undefined>>(env: Env, color: boolean): Env {
  if (process.stdout.isTTY !== true) return env
  return { ...env, [ON_TERMINAL]: colored(process.stdout, color) ? 'color' : 'plain' }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it finds
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g

/** Replaces control characters, so that untrusted text cannot control the terminal. */
export function plain(text: string): string {
  return text.replaceAll(CONTROL, '�')
}

/** As `plain` for JSON, where escapes keep the value. */
export function escaped(json: string): string {
  return json.replaceAll(CONTROL, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Formats a number for people: 12,431. */
export function count(number: number): string {
  return number.toLocaleString('en-US')
}

/** Formats a number with its noun: 1 day, 12,431 days. */
export function counted(number: number, singular: string, plural = `${singular}s`): string {
  return `${count(number)} ${number === 1 ? singular : plural}`
}
