import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { EXIT, Failure } from './exit.ts'
import type { Environment } from './settings.ts'

/** An instance elsewhere and the session of an administrator there. */
export interface Context {
  name: string
  auth: string
  users: string
  modules: string
  email: string
  user_id: string
  session_id: string
  access_token: string
  /** When the access token expires; milliseconds since the epoch. */
  access_until: number
  refresh_token: string
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$/

/** `$XDG_CONFIG_HOME/ch202`, for the contexts that `ch202 login` makes. */
export function configDir(env: Environment): string {
  const home = env.HOME?.trim() || homedir()
  return join(env.XDG_CONFIG_HOME?.trim() || join(home, '.config'), 'ch202')
}

function fileOf(env: Environment, name: string): string {
  if (!NAME.test(name))
    throw new Failure(EXIT.usage, 'The name of a context has letters, digits, and . _ : -', { code: 'usage' })
  return join(configDir(env), 'contexts', `${name}.json`)
}

/** Undefined: there is none of that name. @throws Failure where it can't be read */
export function readContext(env: Environment, name: string): Context | undefined {
  return readJson(fileOf(env, name)) as Context | undefined
}

/** A file each, replaced whole: two commands that refresh at once can't mix theirs. */
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
  return names.sort().flatMap((name) => readContext(env, name) ?? [])
}

/** The name of the context that is used where nothing else is said; null: the local instance. */
export function currentContext(env: Environment): string | null {
  const kept = readJson(join(configDir(env), 'current.json')) as { context?: string | null } | undefined
  return kept?.context ?? null
}

export function useContext(env: Environment, name: string | null): void {
  writeJson(join(configDir(env), 'current.json'), { context: name })
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    // Not the error's own text: it may quote the file.
    throw new Failure(EXIT.failed, `${file} can't be read: remove it, and log in again`)
  }
}

function writeJson(file: string, value: unknown): void {
  const directory = join(file, '..')
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, `${JSON.stringify(value)}\n`, { mode: 0o600 })
  chmodSync(draft, 0o600)
  renameSync(draft, file)
}
