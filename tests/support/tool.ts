import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from './eventually.ts'
import { addressSettings, freePort, INTERNAL_KEY, OPERATOR_KEY } from './settings.ts'

export const ROOT = join(import.meta.dir, '../..')

export interface Ended {
  status: number | null
  stdout: string
  stderr: string
  /** Milliseconds. */
  took: number
  /** Milliseconds of the processor, which other programs on the machine do not change. */
  cpu: number
}

/** A running process: a test reads its output and sends it signals. */
export interface Running {
  pid: number
  stdout(): string
  stderr(): string
  /** Waits until standard output matches, `times` times. */
  printed(pattern: RegExp, times?: number): Promise<void>
  signal(name: NodeJS.Signals): void
  ended: Promise<Ended>
}

interface RunOptions {
  env?: Record<string, string>
  cwd?: string
  stdin?: string
  /** Starts a process group, so that a test can signal all of it, as a terminal does. */
  group?: true
}

/** The environment that every process needs. Nothing else of the tests' own environment is passed on. */
function bareEnvironment(env: Record<string, string> = {}): Record<string, string> {
  const { HOME = '', PATH = '' } = process.env
  // The contexts of the developer who runs the tests stay out of them.
  return { PATH, HOME, XDG_CONFIG_HOME: '/nonexistent', NO_COLOR: '1', CH202_ENV: 'test', ...env }
}

/** The settings of an instance with a data directory and free ports of its own. */
export function ownSettings(dataDir: string, env: Record<string, string> = {}): Record<string, string> {
  const address = () => `http://127.0.0.1:${freePort()}`
  return bareEnvironment({
    CH202_DATA_DIR: dataDir,
    CH202_URL: address(),
    ...addressSettings(address),
    INTERNAL_API_KEY: INTERNAL_KEY,
    OPERATOR_API_KEY: OPERATOR_KEY,
    CH202_SECRET: 'secret-of-the-tests-0123456789-0123456789abc',
    BCRYPT_COST: '4',
    ...env,
  })
}

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

/** Runs `ch202` with these words to its end. */
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

/** A temporary directory for one test file; `remove` deletes it. */
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
