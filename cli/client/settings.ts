import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Config, type Environment, readConfig } from '../../services/kit/process/config.ts'
import { secretsFile, withSecrets, withSecretsFile } from '../../services/kit/process/secrets.ts'
import { EXIT, Failure } from '../exit.ts'
import { quoted } from '../terminal/shell.ts'
import { isForeign, isInOwnCheckout } from './trust.ts'

export type { Environment }

const DATA_DIR = './data'

/**
 * Where the data is, as the environment names it; by default a directory of the current one.
 * @throws Failure where that default belongs to someone else, who could have keys sent to an address of theirs by it
 */
export function dataDirOf(env: Environment): string {
  const named = env.CH202_DATA_DIR?.trim()
  if (named) return named
  if (isForeign(DATA_DIR) && !isInOwnCheckout())
    throw new Failure(EXIT.failed, `${DATA_DIR} belongs to another user, or others may write it: name what is meant`, {
      code: 'foreign_directory',
      suggestion: `CH202_DATA_DIR=${quoted(resolve(DATA_DIR))}`,
    })
  return DATA_DIR
}

/**
 * The settings of services that are about to start; in development their secrets are made at the first start.
 * @throws ConfigError; Failure where there are signing keys, and what they are sealed with is gone
 */
export async function settingsToServe(env: Environment): Promise<Config> {
  const dataDir = dataDirOf(env)
  const hasSecret = () => Boolean(knownEnvironment(env).CH202_SECRET?.trim())
  if (!hasSecret()) await refuseSealedKeys(dataDir, hasSecret)
  return readConfig(withSecrets(env, dataDir))
}

/**
 * A new secret would open none of them; and what is lost is seen at once, not when another stands in its place.
 * @param hasSecret looks for the secret again: a service that started meanwhile writes the secret before any key
 */
async function refuseSealedKeys(dataDir: string, hasSecret: () => boolean): Promise<void> {
  const [{ databases }, { InspectedDatabase, keysOf }] = await Promise.all([
    import('../../db/sqlite/databases.ts'),
    import('../../db/sqlite/inspect/index.ts'),
  ])
  const auth = databases(dataDir).find(({ name, path }) => name === 'auth' && existsSync(path))
  if (!auth) return
  let sealed = 0
  try {
    const examined = InspectedDatabase.open(auth)
    sealed = keysOf(examined).length
    examined.close()
  } catch {
    // What is wrong with it the service says when it opens it.
  }
  if (sealed === 0 || hasSecret()) return
  throw new Failure(EXIT.failed, `CH202_SECRET is missing: ${auth.path} holds signing keys that it alone opens`, {
    code: 'secret_missing',
    suggestion: `put ${secretsFile(dataDir)} back, or: ch202 restore latest --new-secret`,
  })
}

/** The environment with the secrets that are there; none are made. */
export function knownEnvironment(env: Environment): Environment {
  return withSecretsFile(env, dataDirOf(env))
}

/** The values of a setting that may have several, separated by commas; the first is the one in use. */
export function valuesOf(env: Environment, name: string): string[] {
  const values = env[name]?.split(',') ?? []
  return values.map((value) => value.trim()).filter(Boolean)
}

/** What a first start outside production makes. */
export const SECRETS = ['INTERNAL_API_KEY', 'OPERATOR_API_KEY', 'CH202_SECRET'] as const

/** With something in the place of the secrets that a start would make: for asking whether one would go well. */
export function withSecretsToBe(env: Environment, known: Environment): Environment {
  if (env.CH202_ENV?.trim() === 'production' || existsSync(secretsFile(dataDirOf(env)))) return known
  const missing = SECRETS.filter((name) => !known[name]?.trim())
  // Long enough, and no sample.
  return { ...known, ...Object.fromEntries(missing.map((name) => [name, `${name}-to-be-made-at-the-first-start`])) }
}
