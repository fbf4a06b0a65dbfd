import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from './eventually.ts'
import { instanceSettings, newAddresses } from './settings.ts'

/** The path of this checkout. */
export const ROOT = join(import.meta.dir, '../..')

/** The outcome of a process. */
export interface Ended {
  status: number | null
  stdout: string
  stderr: string
  /** Milliseconds. */
  took: number
  /** Milliseconds of CPU time, which other programs on the machine do not change. */
  cpu: number
}

/** A running process: a test reads its output and sends it signals. */
export interface Running {
  pid: number
  stdout(): string
  stderr(): string
  /** Waits until standard output has `times` matches. @throws Error with the output after a minute */
  printed(pattern: RegExp, times?: number): Promise<void>
  signal(name: NodeJS.Signals): void
  ended: Promise<Ended>
}

export interface RunOptions {
  env?: Record<string, string>
  cwd?: string
  /** The text of standard input, which is empty otherwise. */
  stdin?: string
  /** Starts a process group, so that a test can signal all of it, as a terminal does. */
  group?: true
}

/** The environment of a process: what every process needs, and `env`. No other variable of the tests is passed on. */
function bareEnvironment(env: Record<string, string> = {}): Record<string, string> {
  const { HOME = '', PATH = '' } = process.env
  // The directory does not exist, so that the contexts of the developer who runs the tests are not read.
  return { PATH, HOME, XDG_CONFIG_HOME: '/nonexistent', NO_COLOR: '1', CH202_ENV: 'test', ...env }
}

/**
 * The environment of a new instance that a test starts by `launch` or `runTool`, with free ports.
 * @param env settings in place of those that it names
 */
export function ownSettings(dataDir: string, env: Record<string, string> = {}): Record<string, string> {
  return bareEnvironment({ ...instanceSettings(dataDir, newAddresses('apart')), ...env })
}

/** Starts a process in the checkout, or in `cwd`. */
export function launch(command: string[], { env = {}, cwd = ROOT, stdin, group }: RunOptions = {}): Running {
  const startedAt = performance.now()
  const child = Bun.spawn(command, {
    cwd,
    env: bareEnvironment(env),
    stdin: stdin === undefined ? 'ignore' : Buffer.from(stdin),
    stdout: 'pipe',
    stderr: 'pipe',
    ...(group ? { detached: true } : {}),
  })
  const text = { stdout: '', stderr: '' }
  const follow = async (name: 'stdout' | 'stderr') => {
    const decoder = new TextDecoder()
    for await (const chunk of child[name] as ReadableStream<Uint8Array>)
      text[name] += decoder.decode(chunk, { stream: true })
  }
  const streams = Promise.all([follow('stdout'), follow('stderr')])
  const ended = Promise.all([child.exited, streams]).then(() => ({
    status: child.exitCode,
    ...text,
    took: performance.now() - startedAt,
    cpu: Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1000,
  }))
  return {
    pid: child.pid,
    stdout: () => text.stdout,
    stderr: () => text.stderr,
    async printed(pattern, times = 1) {
      const all = new RegExp(pattern, 'g')
      await eventually(() => (text.stdout.match(all) ?? []).length >= times || undefined).catch(() => {
        throw new Error(`The process has not printed ${pattern}:\n${text.stdout}\n${text.stderr}`)
      })
    },
    signal: (name) => void process.kill(group ? -child.pid : child.pid, name),
    ended,
  }
}

/** Runs the tool of this checkout with these words to its end. */
export function runTool(words: string[], options: RunOptions = {}): Promise<Ended> {
  return launch([process.execPath, 'cli/main.ts', ...words], options).ended
}

/** The processes with this text in their environment, by `/proc`. Zombies are left out. */
export function processesWith(marker: string): { pid: number; command: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const of = (file: string) => readFileSync(`/proc/${name}/${file}`, 'latin1')
        if (!of('environ').includes(marker)) return []
        return [{ pid: Number(name), command: of('cmdline').replaceAll('\0', ' ').trim() }]
      } catch {
        // The process has ended meanwhile, or belongs to another user.
        return []
      }
    })
}

/** Creates a temporary directory for one test file; `remove` deletes it. */
export function temporary(name: string) {
  const path = mkdtempSync(join(tmpdir(), `ch202-${name}-`))
  let next = 0
  return {
    path,
    /** A path in the directory that does not exist yet. */
    fresh: () => join(path, String(next++)),
    remove: () => rmSync(path, { recursive: true, force: true }),
  }
}
