import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SERVICE_NAMES } from '../../services/registry.ts'
import { databaseKind, newSystemDatabase } from './postgres/system-database.ts'
import type { Start } from './running.ts'
import { type Layout, type Name, newAddresses, systemSettings } from './settings.ts'
import type { System } from './system.ts'
import { ROOT } from './tool.ts'

export type Process = Bun.Subprocess<'ignore', 'pipe', 'pipe'>

/** A system in processes of its own, as an operator starts it. */
export interface ProcessSystem extends System {
  /** The output of all processes so far. */
  output(): string
  /** Sends SIGTERM, and waits for the end of the process. Gives its exit status. */
  terminate(name: Name): Promise<number>
  /** Resolves when a process has ended by itself. */
  ended(name: Name): Promise<void>
}

export interface ProcessOptions {
  /** A module that each process loads before the program. */
  preload?: string
  /** More settings of one process, read at each of its starts. @param key the name of its service, or `all` */
  settingsOf?(key: string, url: Record<Name, string>): Partial<Record<string, string>>
}

/**
 * Starts one process for all services (`together`), or one for each (`apart`), by `ch202 serve`. Resolves when all are
 * ready.
 * @param env settings of all processes
 * @throws Error with the output if a process ends before it is ready
 */
export async function processes(
  layout: Layout,
  env: Record<string, string> = {},
  { settingsOf = () => ({}), preload }: ProcessOptions = {},
): Promise<ProcessSystem> {
  const directory = mkdtempSync(join(tmpdir(), 'ch202-'))
  const addresses = newAddresses(layout)
  const { PATH = '', HOME = '' } = process.env
  const environment = { PATH, HOME, ...systemSettings(directory, addresses, env) }
  const database =
    databaseKind() === 'postgres' && env.DATABASE_URL === undefined ? await newSystemDatabase(layout) : undefined
  const children = new Map<string, Process>()
  let printed = ''

  const launch = async (key: string) => {
    const words = layout === 'together' ? [] : [key]
    const settings = {
      ...environment,
      ...(database ? { DATABASE_URL: database.addressOf(key === 'all' ? 'auth' : (key as Name)) } : {}),
      ...settingsOf(key, addresses.url),
    }
    const child = spawnServe(words, settings, preload)
    children.set(key, child)
    await untilReady(child, key, (text) => {
      printed += text
    })
  }

  const keyOf = (name: Name) => (layout === 'together' ? 'all' : name)
  const end = async (name: Name, signal: NodeJS.Signals) => {
    const child = children.get(keyOf(name))
    if (!child) return 0
    children.delete(keyOf(name))
    child.kill(signal)
    return await child.exited
  }

  const system: ProcessSystem = {
    layout,
    database,
    dataDir: environment.CH202_DATA_DIR,
    url: addresses.url,
    output: () => printed,
    async kill(name) {
      await end(name, 'SIGKILL')
    },
    async start(name) {
      if (!children.has(keyOf(name))) await launch(keyOf(name))
    },
    terminate: (name) => end(name, 'SIGTERM'),
    async ended(name) {
      await children.get(keyOf(name))?.exited
      children.delete(keyOf(name))
    },
    async stop() {
      await Promise.all(SERVICE_NAMES.map((name) => end(name, 'SIGTERM')))
      await database?.remove()
      rmSync(directory, { recursive: true, force: true })
    },
  }
  try {
    await Promise.all((layout === 'together' ? (['auth'] as const) : SERVICE_NAMES).map((name) => system.start(name)))
  } catch (error) {
    await system.stop()
    throw error
  }
  return system
}

/** Starts systems in processes, for `running`. */
export function overProcesses(layout: Layout): Start<ProcessSystem> {
  return (env) => processes(layout, env)
}

/** Starts `ch202 serve`. @param words the services @param preload a module that is loaded before the program */
export function spawnServe(words: string[], env: Partial<Record<string, string>>, preload?: string): Process {
  const loaded = preload === undefined ? [] : ['--preload', preload]
  return Bun.spawn([process.execPath, ...loaded, 'cli/main.ts', 'serve', ...words], {
    cwd: ROOT,
    env,
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
}

/**
 * Resolves when a process says that it is ready.
 * @param print takes everything that the process prints, then and later
 */
export async function untilReady(child: Process, key: string, print: (text: string) => void): Promise<void> {
  let start = ''
  let isReady = false
  const ready = Promise.withResolvers<void>()
  const follow = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder()
    for await (const chunk of stream) {
      const text = decoder.decode(chunk, { stream: true })
      print(text)
      // A long run prints much: only the output before the process is ready is searched.
      if (isReady) continue
      start += text
      isReady = start.includes(' ready at ')
      if (isReady) ready.resolve()
    }
  }
  follow(child.stdout)
  follow(child.stderr)
  child.exited.then((status) => ready.reject(new Error(`${key} ended with ${status} before it was ready:\n${start}`)))
  await ready.promise
}
