import { accessSync, constants, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { ofEachService, SERVICE_NAMES, type ServiceName } from '../../services/registry.ts'
import { EXIT, Failure, usage } from '../exit.ts'
import { isAlive } from './instance/process.ts'
import { makeDirectoryOf, writePrivateFile } from './private-file.ts'
import type { Environment } from './settings.ts'

/** A remote instance and the session of an administrator there. */
export interface Context extends Record<ServiceName, string> {
  name: string
  email: string
  user_id: string
  session_id: string
  access_token: string
  /** When the access token should be refreshed; milliseconds since the epoch. */
  access_until: number
  refresh_token: string
  /** When the session expires unless it is used before; milliseconds since the epoch. */
  session_until: number
  /** By which the instance knows this device, once a code has confirmed it. */
  device_token?: string
}

/** Names the local instance in place of a context. */
export const LOCAL = 'local'

const NAME = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$/

/** `$XDG_CONFIG_HOME/ch202`, the directory for the contexts that `ch202 login` creates. */
function configDir(env: Environment): string {
  return join(env.XDG_CONFIG_HOME?.trim() || join(homeOf(env), '.config'), 'ch202')
}

function homeOf(env: Environment): string {
  return env.HOME?.trim() || homedir()
}

function fileOf(env: Environment, name: string): string {
  if (!NAME.test(name)) throw usage('A context name may only have letters, digits, and . _ : -')
  if (name === LOCAL) throw usage(`${LOCAL} is the instance on this machine, not a context`)
  return join(configDir(env), 'contexts', `${name}.json`)
}

/** Reads a context; undefined if no context has this name. @throws Failure if it cannot be read */
export function readContext(env: Environment, name: string): Context | undefined {
  const file = fileOf(env, name)
  const stored = readJson(env, file)
  if (stored !== undefined && !isContext(stored)) throw unreadable(file)
  // A service added after the login gets the address of auth, until the next login.
  return stored && { ...ofEachService((service) => stored[service] ?? stored.auth), ...stored, name }
}

function isContext(value: unknown): value is Context {
  const stored = value as Record<keyof Context, unknown> | null
  const texts = ['email', 'user_id', 'session_id', 'access_token', 'refresh_token'] as const
  return (
    URL.canParse(String(stored?.auth)) &&
    SERVICE_NAMES.every((service) => stored?.[service] === undefined || URL.canParse(String(stored[service]))) &&
    texts.every((name) => typeof stored?.[name] === 'string') &&
    (['access_until', 'session_until'] as const).every((name) => typeof stored?.[name] === 'number')
  )
}

/** Writes a context to its own file. @throws the file system's error */
export function writeContext(env: Environment, context: Context): void {
  writeJson(fileOf(env, context.name), context)
}

/** Removes a context without ending its session. */
export function removeContext(env: Environment, name: string): void {
  rmSync(fileOf(env, name), { force: true })
  if (currentContext(env) === name) useContext(env, null)
}

/** All contexts, sorted by name. @throws Failure if one cannot be read */
export function listContexts(env: Environment): Context[] {
  let files: string[] = []
  try {
    files = readdirSync(join(configDir(env), 'contexts'))
  } catch {
    // No context has been created yet.
  }
  const names = files.filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -'.json'.length))
  return names
    .filter((name) => NAME.test(name) && name !== LOCAL)
    .sort()
    .flatMap((name) => readContext(env, name) ?? [])
}

/** The name of the current context; null for the local instance. */
export function currentContext(env: Environment): string | null {
  const stored = readJson(env, join(configDir(env), 'current.json')) as { context?: string | null } | undefined
  return stored?.context ?? null
}

/** Makes a context the current one; null for the local instance. */
export function useContext(env: Environment, name: string | null): void {
  writeJson(join(configDir(env), 'current.json'), { context: name })
}

const POLL_MS = 20
/** Age at which a lock counts as abandoned, longer than a refresh with its retries. */
const ABANDONED_MS = 60_000

/**
 * Does work while no other command changes the same context. Of two commands that refresh at once, one could
 * otherwise store a refresh token that the other has already used.
 */
export async function withContextLock<T>(env: Environment, name: string, work: () => Promise<T>): Promise<T> {
  const lock = `${fileOf(env, name)}.lock`
  makeDirectoryOf(lock)
  while (!tryLock(lock)) await Bun.sleep(POLL_MS)
  try {
    return await work()
  } finally {
    rmSync(lock, { force: true })
  }
}

function tryLock(lock: string): boolean {
  try {
    writeFileSync(lock, `${process.pid}\n`, { flag: 'wx', mode: 0o600 })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const since = statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? 0
  if (Date.now() - since > ABANDONED_MS || !isHeld(lock)) rmSync(lock, { force: true })
  return false
}

/** Whether the process that holds the lock still runs; an empty lock file is being written. */
function isHeld(lock: string): boolean {
  try {
    const pid = Number(readFileSync(lock, 'utf8'))
    return pid === 0 || isAlive(pid)
  } catch {
    // Released meanwhile.
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

/** Whether this user may enter the configuration directory, which `docker exec --user` leaves in root's HOME. */
function hasHome(env: Environment): boolean {
  try {
    accessSync(env.XDG_CONFIG_HOME?.trim() || homeOf(env), constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** A failure without the message of the cause, which may quote tokens from the file. */
function unreadable(file: string): Failure {
  return new Failure(EXIT.failed, `${file} cannot be read: remove it and log in again`)
}

function writeJson(file: string, value: unknown): void {
  writePrivateFile(file, `${JSON.stringify(value)}\n`)
}
