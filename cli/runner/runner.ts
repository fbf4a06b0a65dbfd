import { type ChildProcess, spawn } from 'node:child_process'
import { resolve } from 'node:path'
import type { Readable } from 'node:stream'
import { dataDirOf } from '../client/settings.ts'
import { compiled, inCheckout } from '../executable.ts'
import { colored, terminalEnvironment } from '../terminal/terminal.ts'
import { UNDER_RUNNER } from './under-runner.ts'

export interface Line {
  name: string
  command: string
}

/** The lines of a Procfile: `name: command`, with `#` for comments. */
export function parseProcfile(text: string): Line[] {
  const lines: Line[] = []
  for (const line of text.split(/\r?\n/)) {
    const match = /^([A-Za-z0-9_-]+):\s*(.+)$/.exec(line.trim())
    if (match?.[1] && match[2]) lines.push({ name: match[1], command: match[2] })
  }
  return lines
}

/** Where the commands are run. */
const HOME = compiled ? process.cwd() : inCheckout()
const FIRST_PAUSE = 500
const LONGEST_PAUSE = 10_000
/** Up for this long, and a crash is the first again. */
const SETTLED = 10_000
const CRASHES_MAX = 5
/** A process that has not ended by then is killed. */
const PATIENCE = 12_000
const COLORS = ['\x1b[36m', '\x1b[33m', '\x1b[35m', '\x1b[32m', '\x1b[34m', '\x1b[31m']

/**
 * Runs processes side by side, each in a process group of its own so that nothing it has started outlives it: prefixes
 * their output, starts one that crashed again after a growing pause, and gives up on one that keeps crashing.
 */
export class Runner {
  private readonly children = new Map<string, ChildProcess>()
  private readonly pauses = new Set<() => void>()
  private stopping = false
  private failed: string | undefined
  private readonly width: number

  /**
   * @param firstPause milliseconds before the first crash is mended; each further one waits twice as long
   * @param printed is given each line that a process prints, after it was shown
   */
  constructor(
    private readonly lines: readonly Line[],
    private readonly firstPause = FIRST_PAUSE,
    private readonly color = true,
    private readonly printed: (name: string, text: string) => void = () => undefined,
  ) {
    this.width = Math.max(...lines.map(({ name }) => name.length))
  }

  /** Resolves when all have ended, with the name of the one that would not stay up, if that was why. */
  async run(): Promise<string | undefined> {
    await Promise.all(this.lines.map((line, index) => this.keepUp(line, index)))
    return this.failed
  }

  /** Asks all to finish; what has not ended in twelve seconds, or by a second call, is killed. */
  stop(): void {
    if (this.stopping) {
      this.signal('SIGKILL')
      return
    }
    this.stopping = true
    for (const wake of this.pauses) wake()
    this.signal('SIGTERM')
    setTimeout(() => this.signal('SIGKILL'), PATIENCE).unref()
  }

  private async keepUp(line: Line, index: number): Promise<void> {
    let crashes = 0
    while (!this.stopping) {
      const startedAt = performance.now()
      const ended = await this.once(line, index)
      if (this.stopping) return
      if (performance.now() - startedAt > SETTLED) crashes = 0
      crashes++
      this.say(line.name, index, `ended ${ended}`)
      if (crashes >= CRASHES_MAX) {
        this.failed ??= line.name
        this.stop()
        return
      }
      await this.pause(Math.min(this.firstPause * 2 ** (crashes - 1), LONGEST_PAUSE))
    }
  }

  private once({ name, command }: Line, index: number): Promise<string> {
    return new Promise((ended) => {
      const child = spawn('/bin/sh', ['-c', `exec ${command}`], {
        cwd: HOME,
        // Relative paths in the settings mean the operator's directory.
        env: {
          ...terminalEnvironment(process.env, this.color),
          CH202_DATA_DIR: resolve(dataDirOf(process.env)),
          [UNDER_RUNNER]: '1',
        },
        detached: true,
        // Nothing is ever written to the first: it ends with this process, and so do the services.
        stdio: ['pipe', 'pipe', 'pipe'],
      })
      this.children.set(name, child)
      this.prefix(name, index, child.stdout)
      this.prefix(name, index, child.stderr)
      child.on('error', () => ended('before it began'))
      child.on('close', (code, signal) => {
        this.children.delete(name)
        ended(signal ? `by ${signal}` : `with status ${code}`)
      })
    })
  }

  private prefix(name: string, index: number, stream: Readable): void {
    let rest = ''
    stream.setEncoding('utf8')
    stream.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        this.say(name, index, line)
        this.printed(name, line)
      }
    })
    stream.on('end', () => {
      if (rest) this.say(name, index, rest)
    })
  }

  private say(name: string, index: number, text: string): void {
    const label = `${name.padEnd(this.width)} |`
    const inColor = colored(process.stdout, this.color)
    process.stdout.write(inColor ? `${COLORS[index % COLORS.length]}${label}\x1b[0m ${text}\n` : `${label} ${text}\n`)
  }

  private signal(signal: NodeJS.Signals): void {
    for (const { pid } of this.children.values()) {
      if (pid === undefined) continue
      try {
        process.kill(-pid, signal)
      } catch {
        // It has ended meanwhile.
      }
    }
  }

  private async pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.pauses.add(resolve)
    const timer = setTimeout(resolve, ms)
    await promise
    clearTimeout(timer)
    this.pauses.delete(resolve)
  }
}
