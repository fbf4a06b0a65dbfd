import { existsSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { Load, LoadResult } from './load.ts'

const ROOT = join(import.meta.dir, '..')
/** Milliseconds that a server may take to start. */
const START_TIMEOUT = 120_000

/**
 * The cores of the load generator (the last one) and of the servers (the others), so that neither takes time from the
 * other. Null on a machine with one core or without `taskset`.
 */
export const CORES = coresOf(availableParallelism())

function coresOf(count: number): { server: string; load: string } | null {
  if (count < 2 || Bun.which('taskset') === null) return null
  return { server: count === 2 ? '0' : `0-${count - 2}`, load: String(count - 1) }
}

/** The number of cores of a server. */
export const SERVER_CORES = CORES ? availableParallelism() - 1 : availableParallelism()

/** The command with its process bound to the cores of the server or of the load. */
function pinned(command: string[], to: 'server' | 'load'): string[] {
  return CORES ? ['taskset', '-c', CORES[to], ...command] : command
}

/** One or several processes that are measured. */
export interface Measurable {
  url: string
  /** Milliseconds of CPU used so far. */
  cpu(): number
  /** MiB in use now, and the maximum so far. */
  memory(): { now: number; peak: number }
  stop(): Promise<void>
}

interface Start {
  command: string[]
  env?: Record<string, string>
  /** The address of the server. */
  url: string
  /** The path that is requested until the server responds with success. */
  ready?: string
  /** Whether the server may use every core: it shares them with the load and a database server. */
  onAllCores?: boolean
}

/** Starts a server on its own cores, and waits until it responds. */
export async function startServer({ ready = '/health', ...start }: Start): Promise<Measurable> {
  const { command, url } = start
  const child = spawnServer(start)
  const end = performance.now() + START_TIMEOUT
  while (!(await fetch(url + ready).catch(() => null))?.ok) {
    if (child.exitCode !== null || performance.now() > end) throw new Error(`${command.join(' ')} has not started`)
    await Bun.sleep(2)
  }
  return {
    url,
    cpu: () => cpuOf(child.pid),
    memory: () => memoryOf(child.pid),
    async stop() {
      child.kill('SIGTERM')
      await child.exited
    },
  }
}

/** Milliseconds from the start of a server to its first successful response. */
export async function timeToFirstAnswer(
  start: Start,
  { body, method, path }: { method: string; path: string; body?: unknown },
): Promise<number> {
  const { command, url } = start
  const startedAt = performance.now()
  const child = spawnServer(start)
  const request = {
    method,
    ...(body ? { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) } : {}),
  }
  while (!(await fetch(url + path, request).catch(() => null))?.ok) {
    if (child.exitCode !== null) throw new Error(`${command.join(' ')} has not started`)
    await Bun.sleep(1)
  }
  const elapsed = performance.now() - startedAt
  child.kill('SIGTERM')
  await child.exited
  return elapsed
}

function spawnServer({ command, env = {}, onAllCores = false }: Start) {
  return Bun.spawn(onAllCores ? command : pinned(command, 'server'), {
    cwd: ROOT,
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...env },
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'inherit',
  })
}

/** Runs a program until it exits. */
export async function run(command: string[]): Promise<void> {
  await outputOf(command)
}

/** Runs one of our programs on the servers' cores until it exits. @returns its output, parsed as JSON */
export async function measureAlone<T>(file: string, words: string[]): Promise<T> {
  return JSON.parse(await outputOf(pinned([process.execPath, join(import.meta.dir, file), ...words], 'server')))
}

/**
 * Runs processes of one of our programs on all cores, which they share with a database server. All of them begin when each
 * has printed `ready`.
 * @param lists the arguments of each process
 * @param onReady called before they begin
 * @returns what each printed at its end, parsed as JSON
 */
export async function measureTogether<T>(
  file: string,
  lists: readonly string[][],
  onReady: () => void = () => undefined,
): Promise<T[]> {
  const children = lists.map((words) => {
    const command = [process.execPath, join(import.meta.dir, file), ...words]
    const child = Bun.spawn(command, { cwd: ROOT, stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' })
    return { child, command: command.join(' '), output: child.stdout.pipeThrough(new TextDecoderStream()).getReader() }
  })
  for (const { command, output } of children)
    if (!(await output.read()).value?.startsWith('ready')) throw new Error(`${command} failed`)
  onReady()
  for (const { child } of children) {
    child.stdin.write('\n')
    child.stdin.end()
  }
  return Promise.all(
    children.map(async ({ child, command, output }) => {
      let text = ''
      for (let part = await output.read(); !part.done; part = await output.read()) text += part.value
      if ((await child.exited) !== 0) throw new Error(`${command} failed`)
      return JSON.parse(text) as T
    }),
  )
}

/** Sends load from its own core. @throws when anything but `expected` was answered */
export async function send(load: Load, expected: readonly string[] = ['200']): Promise<LoadResult> {
  return (await sendTogether([load], expected))[0] as LoadResult
}

/** Sends several loads at the same time, from one process. @throws when anything but `expected` was answered to one */
export async function sendTogether(
  loads: readonly Load[],
  expected: readonly string[] = ['200'],
): Promise<LoadResult[]> {
  const command = pinned([process.execPath, join(import.meta.dir, 'load.ts')], 'load')
  const results: LoadResult[] = JSON.parse(await outputOf(command, JSON.stringify(loads)))
  for (const [index, { requests, statuses }] of results.entries()) {
    const odd = Object.keys(statuses).filter((status) => !expected.includes(status))
    if (odd.length > 0 || requests === 0)
      throw new Error(`${loads[index]?.script}: answered ${JSON.stringify(statuses)}`)
  }
  return results
}

async function outputOf(command: string[], input = ''): Promise<string> {
  const child = Bun.spawn(command, { cwd: ROOT, stdin: Buffer.from(input), stdout: 'pipe', stderr: 'inherit' })
  const text = await new Response(child.stdout).text()
  if ((await child.exited) !== 0) throw new Error(`${command.join(' ')} failed`)
  return text
}

/** Milliseconds of CPU that a process has used. The kernel counts in hundredths of a second. */
function cpuOf(pid: number): number {
  const [user, system] = statOf(pid).slice(11)
  return (Number(user) + Number(system)) * 10
}

/** Milliseconds of CPU that a process and its children have used, also those that have ended. */
export function cpuWithChildren(pid: number): number {
  for (;;)
    try {
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
      const running = children.reduce((sum, child) => sum + cpuOf(child), 0)
      const [, , ended, endedSystem] = statOf(pid).slice(11)
      return cpuOf(pid) + (Number(ended) + Number(endedSystem)) * 10 + running
    } catch (error) {
      // A child ended meanwhile: its time is now among those of the children that have ended.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || !existsSync(`/proc/${pid}`)) throw error
    }
}

/** The process that started a process. */
export function parentOf(pid: number): number {
  return Number(statOf(pid)[1])
}

/** The fields of `/proc/<pid>/stat` after the name, beginning with the state. */
function statOf(pid: number): string[] {
  return readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? []
}

/** MiB of memory that a process uses, and the maximum so far. */
function memoryOf(pid: number): { now: number; peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  const mib = (field: string) => Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) / 1024
  return { now: mib('VmRSS'), peak: mib('VmHWM') }
}
