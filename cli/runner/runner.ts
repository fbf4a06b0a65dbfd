import { type ChildProcess, spawn } from 'node:child_process'
import { resolve } from 'node:path'
import type { Readable } from 'node:stream'
import { dataDirOf } from '../client/settings.ts'
import { compiled, inCheckout } from '../executable.ts'
import { colored, terminalEnvironment } from '../terminal/terminal.ts'
import { UNDER_RUNNER } from './under-runner.ts'

/** A line of a Procfile: a process to run. */
export interface Line {
  name: string
  command: string
}

/** Parses a Procfile: `name: command` lines, with `#` for comments. */
export function parseProcfile(text: string): Line[] {
  const lines: Line[] = []
  for (const line of text.split(/\r?\n/)) {
    const match = /^([A-Za-z0-9_-]+):\s*(.+)$/.exec(line.trim())
    if (match?.[1] && match[2]) lines.push({ name: match[1], command: match[2] })
  }
  return lines
}

/** The directory that the commands run in. */
const WORKING_DIRECTORY = compiled ? process.cwd() : inCheckout()
/** Milliseconds before a restart. */
const FIRST_PAUSE = 500
const PAUSE_MAX = 10_000
/** Milliseconds of uptime after which the count of crashes starts again. */
const STABLE_AFTER = 10_000
/** Crashes in a row after which the runner gives up. */
const CRASHES_MAX = 5
/** Milliseconds after which a process that has not stopped is killed. */
const STOP_TIMEOUT = 12_000
const COLORS = ['\x1b[36m', '\x1b[33m', '\x1b[35m', '\x1b[32m', '\x1b[34m', '\x1b[31m']

interface RunnerOptions {
  color: boolean
  /** Milliseconds before the first restart; each further pause is twice as long. */
  firstPause?: number
  /** Called with each line that a process has printed. */
  onLine?: (name: string, text: string) => void
}

/**
 * Runs processes side by side, each in its own process group so that no child outlives it. Prefixes their output,
 * restarts a crashed process with exponential backoff, and gives up if one keeps crashing.
 */
export class Runner {
  private readonly children = new Map<string, ChildProcess>()
  private readonly pauses = new Set<() => void>()
  private stopping = false
  private failed: string | undefined
  private readonly width: number

  constructor(
    private readonly lines: readonly Line[],
    private readonly options: RunnerOptions,
  ) {
    this.width = Math.max(...lines.map(({ name }) => name.length))
  }

  /** Resolves when all processes have ended, with the name of the one that kept crashing, if any. */
  async run(): Promise<string | undefined> {
    await Promise.all(this.lines.map((line, index) => this.keepRunning(line, index)))
    return this.failed
  }

  /** Asks all processes to stop; kills them after twelve seconds, or on a second call. */
  stop(): void {
    if (this.stopping) {
      this.signal('SIGKILL')
      return
    }
    this.stopping = true
    for (const wake of this.pauses) wake()
    this.signal('SIGTERM')
    setTimeout(() => this.signal('SIGKILL'), STOP_TIMEOUT).unref()
  }

  private async keepRunning(line: Line, index: number): Promise<void> {
    let crashes = 0
    while (!this.stopping) {
      const startedAt = performance.now()
      const ended = await this.runOnce(line, index)
      if (this.stopping) return
      if (performance.now() - startedAt > STABLE_AFTER) crashes = 0
      crashes++
      this.print(line.name, index, `ended ${ended}`)
      if (crashes >= CRASHES_MAX) {
        this.failed ??= line.name
        this.stop()
        return
      }
      await this.pause(Math.min((this.options.firstPause ?? FIRST_PAUSE) * 2 ** (crashes - 1), PAUSE_MAX))
    }
  }

  private runOnce({ name, command }: Line, index: number): Promise<string> {
    return new Promise((ended) => {
      const child = spawn('/bin/sh', ['-c', `exec ${command}`], {
        cwd: WORKING_DIRECTORY,
        // Relative paths in the settings are relative to the operator's directory.
        env: {
          ...terminalEnvironment(process.env, this.options.color),
          CH202_DATA_DIR: resolve(dataDirOf(process.env)),
          [UNDER_RUNNER]: '1',
        },
        detached: true,
        // Standard input stays open as long as this process runs; the services stop when it closes.
        stdio: ['pipe', 'pipe', 'pipe'],
      })
      this.children.set(name, child)
      this.prefix(name, index, child.stdout)
      this.prefix(name, index, child.stderr)
      child.on('error', () => ended('before it started'))
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
        this.print(name, index, line)
        this.options.onLine?.(name, line)
      }
    })
    stream.on('end', () => {
      if (rest) this.print(name, index, rest)
    })
  }

  private print(name: string, index: number, text: string): void {
    const label = `${name.padEnd(this.width)} |`
    const inColor = colored(process.stdout, this.options.color)
    process.stdout.write(inColor ? `${COLORS[index % COLORS.length]}${label}\x1b[0m ${text}\n` : `${label} ${text}\n`)
  }

  private signal(signal: NodeJS.Signals): void {
    for (const { pid } of this.children.values()) {
      if (pid === undefined) continue
      try {
        process.kill(-pid, signal)
      } catch {
        // The process has ended meanwhile.
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
