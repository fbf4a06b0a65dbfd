import { accessSync, constants, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { ofEachService, SERVICE_NAMES, type ServiceName } from '../../services/registry.ts'
import { EXIT, Failure, usage } from '../exit.ts'
import { isAlive } from './instance/process.ts'
import { makeDirectoryOf, writePrivateFile } from './private-file.ts'
import type { Environment } from './settings.ts'

/** An instance elsewhere and the session of an administrator there. */
export interface Context extends Record<ServiceName, string> {
  name: string
  email: string
  user_id: string
  session_id: string
  access_token: string
  /** Until when the access token is used; milliseconds since the epoch. */
  access_until: number
  refresh_token: string
  /** When the session ends unless it is used before; milliseconds since the epoch. */
  session_until: number
}

/** What names the local instance where a context is named: no context has this name. */
export const LOCAL = 'local'

const NAME = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$/

/** `$XDG_CONFIG_HOME/ch202`, for the contexts that `ch202 login` makes. */
function configDir(env: Environment): string {
  return join(env.XDG_CONFIG_HOME?.trim() || join(homeOf(env), '.config'), 'ch202')
}

function homeOf(env: Environment): string {
  return env.HOME?.trim() || homedir()
}

function fileOf(env: Environment, name: string): string {
  if (!NAME.test(name)) throw usage('The name of a context has letters, digits, and . _ : -')
  if (name === LOCAL) throw usage(`${LOCAL} is the instance of this machine, not a context`)
  return join(configDir(env), 'contexts', `${name}.json`)
}

/** Undefined: there is none of that name. @throws Failure where it can't be read */
export function readContext(env: Environment, name: string): Context | undefined {
  const file = fileOf(env, name)
  const stored = readJson(env, file)
  if (stored !== undefined && !isContext(stored)) throw unreadable(file)
  // A service that came later is where auth is: there is one address for all of them, or it is said anew by a login.
  return stored && { ...ofEachService((place) => stored[place] ?? stored.auth), ...stored, name }
}

function isContext(value: unknown): value is Context {
  const kept = value as Record<keyof Context, unknown> | null
  const texts = ['email', 'user_id', 'session_id', 'access_token', 'refresh_token'] as const
  return (
    URL.canParse(String(kept?.auth)) &&
    SERVICE_NAMES.every((place) => kept?.[place] === undefined || URL.canParse(String(kept[place]))) &&
    texts.every((name) => typeof kept?.[name] === 'string') &&
    (['access_until', 'session_until'] as const).every((name) => typeof kept?.[name] === 'number')
  )
}

/** A file each. @throws the file system's error */
export function writeContext(env: Environment, context: Context): void {
  writeJson(fileOf(env, context.name), context)
}

/** Forgets a context; the session it held is not ended by that. */
export function removeContext(env: Environment, name: string): void {
  rmSync(fileOf(env, name), { force: true })
  if (currentContext(env) === name) useContext(env, null)
}

export function listContexts(env: Environment): Context[] {
  let files: string[] = []
  try {
    files = readdirSync(join(configDir(env), 'contexts'))
  } catch {
    // None has been made yet.
  }
  const names = files.filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -'.json'.length))
  return names
    .filter((name) => NAME.test(name) && name !== LOCAL)
    .sort()
    .flatMap((name) => readContext(env, name) ?? [])
}

/** The name of the context that is used where nothing else is said; null: the local instance. */
export function currentContext(env: Environment): string | null {
  const stored = readJson(env, join(configDir(env), 'current.json')) as { context?: string | null } | undefined
  return stored?.context ?? null
}

export function useContext(env: Environment, name: string | null): void {
  writeJson(join(configDir(env), 'current.json'), { context: name })
}

const LOOK_EVERY = 20
/** Longer than a refresh may take, with its tries: whoever held it was killed. */
const ABANDONED = 60_000

/**
 * Does what no other command may do to the same context meanwhile: of two that refresh at once, each with the token
 * that it read, one could keep what the other has spent.
 */
export async function alone<T>(env: Environment, name: string, work: () => Promise<T>): Promise<T> {
  const lock = `${fileOf(env, name)}.lock`
  makeDirectoryOf(lock)
  while (!take(lock)) await Bun.sleep(LOOK_EVERY)
  try {
    return await work()
  } finally {
    rmSync(lock, { force: true })
  }
}

function take(lock: string): boolean {
  try {
    writeFileSync(lock, `${process.pid}\n`, { flag: 'wx', mode: 0o600 })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const since = statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? 0
  if (Date.now() - since > ABANDONED || !lives(lock)) rmSync(lock, { force: true })
  return false
}

/** Whether who made the lock still runs; an empty one is just being made. */
function lives(lock: string): boolean {
  try {
    const pid = Number(readFileSync(lock, 'utf8'))
    return pid === 0 || isAlive(pid)
  } catch {
    // Given back meanwhile.
    return false
  }
}

function readJson(env: Environment, file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (['ENOENT', 'ENOTDIR'].includes(code) || (code === 'EACCES' && !hasHome(env))) return undefined
    throw unreadable(file)
  }
}

/** Whether this user may enter the directory that contexts are kept below: `docker exec --user` leaves root's HOME. */
function hasHome(env: Environment): boolean {
  try {
    accessSync(env.XDG_CONFIG_HOME?.trim() || homeOf(env), constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Without the error's own text: it may quote the file. */
function unreadable(file: string): Failure {
  return new Failure(EXIT.failed, `${file} can't be read: remove it, and log in again`)
}

function writeJson(file: string, value: unknown): void {
  writePrivateFile(file, `${JSON.stringify(value)}\n`)
}
