import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Config, type Environment, readConfig } from '../services/kit/config.ts'
import { withSecrets, withSecretsFile } from '../services/kit/secrets.ts'

const DATA_DIR = './data'

export function dataDirOf(env: Environment): string {
  return env.CH202_DATA_DIR?.trim() || DATA_DIR
}

/** The settings of services that are about to start; in development their secrets are made at the first start. */
export function settingsToServe(env: Environment): Config {
  // What can be said without secrets is said first, so that a wrong setting leaves nothing behind.
  return readConfig(withSecrets(env, dataDirOf(env)))
}

/** The environment with the secrets that are there; none are made. */
export function knownEnvironment(env: Environment): Environment {
  return withSecretsFile(env, dataDirOf(env))
}

export type Place = 'auth' | 'users' | 'modules'

const VARIABLES = { auth: 'AUTH_URL', users: 'USERS_URL', modules: 'MODULES_URL' } as const
const DEFAULTS = {
  auth: 'http://127.0.0.1:3001',
  users: 'http://127.0.0.1:3002',
  modules: 'http://127.0.0.1:3003',
} as const

/**
 * Where a service is: its own variable, CH202_URL, the address that the running one wrote into the data directory, the
 * default.
 */
export function addressOf(place: Place, env: Environment): string {
  const set = env[VARIABLES[place]]?.trim() || env.CH202_URL?.trim() || runningAt(place, dataDirOf(env))
  return (set ?? DEFAULTS[place]).replace(/\/+$/, '')
}

function runningAt(place: Place, dataDir: string): string | undefined {
  try {
    const { url } = JSON.parse(readFileSync(join(dataDir, 'run', `${place}.json`), 'utf8')) as { url?: string }
    return url
  } catch {
    return undefined
  }
}
