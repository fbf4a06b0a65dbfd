import { test } from 'bun:test'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { addressSetting } from '../../services/kit/process/service-address.ts'
import { ofEachService, SERVICE_NAMES, type ServiceName } from '../../services/registry.ts'

/** The two ways of running: nothing in the contract may depend on which it is. */
export const WAYS = ['one process', 'three processes'] as const
export type Way = (typeof WAYS)[number]

/** For what can only happen between processes: a service that is away while the others are there. */
export function whereApart(way: Way): (name: string, body: () => Promise<void>, patience?: number) => void {
  return way === 'three processes' ? test : () => undefined
}

const ROOT = join(import.meta.dir, '../..')
export const INTERNAL_KEY = 'internal-key-of-the-tests-0123456789abcdef'
export const OPERATOR_KEY = 'operator-key-of-the-tests-0123456789abcdef'
const SECRET = 'secret-of-the-tests-0123456789-0123456789abc'
export type Name = ServiceName

type Process = Bun.Subprocess<'ignore', 'pipe', 'pipe'>

/** A running Ch202: real processes, real files, in a directory of its own. */
export interface System {
  way: Way
  dataDir: string
  /** The base address of a service. */
  url: Record<Name, string>
  /** What the processes have printed so far. */
  output(): string
  /** Ends one service as a crash would (all of them where they are one process). */
  kill(name: Name): Promise<void>
  /** Starts what was killed or stopped again, with the same files. */
  start(name: Name): Promise<void>
  /** Asks one to end, and waits until it has. */
  terminate(name: Name): Promise<number>
  /** Resolves when one has ended by itself. */
  ended(name: Name): Promise<void>
  stop(): Promise<void>
}

/** Below the ports that the system gives to outgoing connections: several test processes at once seldom meet there. */
const FIRST_PORT = 10_240
const LAST_PORT = 32_000

/** A port that nothing listens on. */
export function freePort(): number {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT))
    try {
      Bun.serve({ port, hostname: '127.0.0.1', fetch: () => new Response() }).stop(true)
      return port
    } catch {
      // Taken.
    }
  }
}

/** The setting of each service's address. */
export function addressSettings(of: (name: Name) => string): Record<string, string> {
  return Object.fromEntries(SERVICE_NAMES.map((name) => [addressSetting(name), of(name)]))
}

interface StartOptions {
  /** A module that each process loads before the program. */
  preload?: string
  /** Settings of one service's process alone, by the addresses of all. */
  settingsOf?(name: string, url: Record<Name, string>): Partial<Record<string, string>>
}

export async function startSystem(
  way: Way,
  env: Record<string, string> = {},
  { settingsOf = () => ({}), preload }: StartOptions = {},
): Promise<System> {
  const dataDir = mkdtempSync(join(tmpdir(), 'ch202-'))
  const address = () => `http://127.0.0.1:${freePort()}`
  const one = address()
  const together = way === 'one process'
  const url = ofEachService(() => (together ? one : address()))
  const environment = {
    PATH: process.env.PATH ?? '',
    HOME: process.env.HOME ?? '',
    CH202_ENV: 'test',
    CH202_DATA_DIR: dataDir,
    CH202_URL: one,
    ...addressSettings((name) => url[name]),
    INTERNAL_API_KEY: INTERNAL_KEY,
    OPERATOR_API_KEY: OPERATOR_KEY,
    CH202_SECRET: SECRET,
    // Cheap, where the hash is not the subject.
    BCRYPT_COST: '4',
    PUBLIC_URL: 'https://app.example.org',
    ...env,
  }
  const running = new Map<string, Process>()
  let printed = ''

  const launch = async (key: string) => {
    const words = together ? [] : [key]
    const loaded = preload === undefined ? [] : ['--preload', preload]
    const child = Bun.spawn([process.execPath, ...loaded, 'cli/main.ts', 'serve', ...words], {
      cwd: ROOT,
      env: { ...environment, ...settingsOf(key, url) },
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
    })
    running.set(key, child)
    let own = ''
    let isReady = false
    const ready = Promise.withResolvers<void>()
    const follow = async (stream: ReadableStream<Uint8Array>) => {
      const decoder = new TextDecoder()
      for await (const chunk of stream) {
        const text = decoder.decode(chunk, { stream: true })
        printed += text
        // A long run prints much: it is looked through until it is ready, and not again with every line.
        if (isReady) continue
        own += text
        isReady = own.includes(' ready at ')
        if (isReady) ready.resolve()
      }
    }
    follow(child.stdout)
    follow(child.stderr)
    child.exited.then((status) => ready.reject(new Error(`${key} ended with ${status} before it was ready:\n${own}`)))
    await ready.promise
  }

  const keyOf = (name: Name) => (together ? 'all' : name)
  const end = async (name: Name, signal: NodeJS.Signals) => {
    const child = running.get(keyOf(name))
    if (!child) return 0
    running.delete(keyOf(name))
    child.kill(signal)
    return await child.exited
  }

  const system: System = {
    way,
    dataDir,
    url,
    output: () => printed,
    async kill(name) {
      await end(name, 'SIGKILL')
    },
    async start(name) {
      if (!running.has(keyOf(name))) await launch(keyOf(name))
    },
    terminate: (name) => end(name, 'SIGTERM'),
    async ended(name) {
      await running.get(keyOf(name))?.exited
      running.delete(keyOf(name))
    },
    async stop() {
      await Promise.all(SERVICE_NAMES.map((name) => end(name, 'SIGTERM')))
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
  try {
    await Promise.all((together ? (['auth'] as const) : SERVICE_NAMES).map((name) => system.start(name)))
  } catch (error) {
    await system.stop()
    throw error
  }
  return system
}

/** Who makes a request. */
export const as = {
  operator: { 'x-api-key': OPERATOR_KEY },
  internal: { 'x-api-key': INTERNAL_KEY },
  bearer: (token: string) => ({ authorization: `Bearer ${token}` }),
}

/** An answer, read. `body` is what JSON.parse made of it; `text` the bytes; JSON in the tests is looked at freely. */
export interface Answer {
  status: number
  headers: Headers
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: a test looks at answers of every shape, and asserts what it finds
  body: any
}

/** One request over HTTP. A body that is no string or bytes is sent as JSON. */
export async function call(
  base: string,
  request: string,
  options: { body?: unknown; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const [method = 'GET', path = '/'] = request.split(' ')
  const { body, headers = {} } = options
  const raw = typeof body === 'string' || body instanceof Uint8Array || body instanceof ReadableStream
  const response = await fetch(base + path, {
    method,
    headers: { ...(body === undefined || raw ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: raw ? (body as string) : JSON.stringify(body) }),
  })
  const text = await response.text()
  let parsed: unknown = text
  try {
    parsed = JSON.parse(text)
  } catch {
    // Not JSON.
  }
  return { status: response.status, headers: response.headers, text, body: parsed }
}

let counter = 0

/** A new user's email, different from all others of this run. */
export function newEmail(): string {
  return `user${++counter}-${Math.random().toString(36).slice(2, 8)}@example.org`
}

export const PASSWORD = 'correct horse battery'

export interface TestUser {
  id: string
  email: string
  tokens: { access_token: string; refresh_token: string; session_id: string }
}

/** Registers a user through auth. */
export async function registerUser(system: System, extra: Record<string, unknown> = {}): Promise<TestUser> {
  const email = newEmail()
  const answer = await call(system.url.auth, 'POST /api/v1/auth/register', {
    body: { email, password: PASSWORD, ...extra },
  })
  if (answer.status !== 201) throw new Error(`register: ${answer.status} ${answer.text}`)
  return { id: answer.body.id, email, tokens: answer.body.tokens }
}

/** Makes a user as an operator, and logs it in. */
export async function createUser(system: System, fields: Record<string, unknown> = {}): Promise<TestUser> {
  const email = newEmail()
  const created = await call(system.url.users, 'POST /api/v1/users', {
    headers: as.operator,
    body: { email, password: PASSWORD, ...fields },
  })
  if (created.status !== 201) throw new Error(`create: ${created.status} ${created.text}`)
  const login = await logIn(system, email)
  return { id: created.body.id, email, tokens: login.body }
}

export function logIn(system: System, login: string, password = PASSWORD): Promise<Answer> {
  return call(system.url.auth, 'POST /api/v1/auth/login', { body: { login, password } })
}

/** The mails that were written so far, oldest first. */
export function mails(system: System): string[] {
  const directory = join(system.dataDir, 'mail')
  try {
    return readdirSync(directory)
      .filter((name) => name.endsWith('.eml'))
      .sort()
      .map((name) => readFileSync(join(directory, name), 'utf8'))
  } catch {
    return []
  }
}

/** Waits until `look` gives something, for at most `patience` milliseconds. */
export async function eventually<T>(look: () => Promise<T | undefined> | T | undefined, patience = 3000): Promise<T> {
  const end = performance.now() + patience
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (performance.now() > end) throw new Error('It did not come about in time')
    await Bun.sleep(20)
  }
}
