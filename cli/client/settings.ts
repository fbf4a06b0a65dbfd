import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { secretsFile, withSecretsFile } from '../../services/kit/process/secrets.ts'
import type { Environment } from '../../services/kit/process/setting-reader.ts'
import { EXIT, Failure } from '../exit.ts'
import { quoted } from '../terminal/shell.ts'
import { isForeign, isInOwnCheckout } from './trust.ts'

export type { Environment }

const DATA_DIR = './data'

/**
 * The data directory: CH202_DATA_DIR, or `./data`.
 * @throws Failure if the default directory belongs to another user, who could redirect the tool's keys with it
 */
export function dataDirOf(env: Environment): string {
  const configured = env.CH202_DATA_DIR?.trim()
  if (configured) return configured
  if (isForeign(DATA_DIR) && !isInOwnCheckout())
    throw new Failure(
      EXIT.failed,
      `${DATA_DIR} belongs to another user, or others can write to it: set CH202_DATA_DIR to confirm`,
      { code: 'foreign_directory', suggestion: `CH202_DATA_DIR=${quoted(resolve(DATA_DIR))}` },
    )
  return DATA_DIR
}

/** Adds the existing secrets of the data directory to the environment; creates none. */
export function withStoredSecrets(env: Environment): Environment {
  return withSecretsFile(env, dataDirOf(env))
}

/** The values of a setting, separated by commas; the first is the one in use. */
export function valuesOf(env: Environment, name: string): string[] {
  const values = env[name]?.split(',') ?? []
  return values.map((value) => value.trim()).filter(Boolean)
}

/** The secrets that a first start outside production creates. */
export const SECRETS = ['INTERNAL_API_KEY', 'OPERATOR_API_KEY', 'CH202_SECRET'] as const

/** Secrets that may be unset. No start creates them. */
export const OPTIONAL_SECRETS = ['METRICS_API_KEY', 'BACKUP_PASSPHRASE'] as const

/** The PostgreSQL database that takes the place of the files in the data directory; undefined: files. */
export function databaseUrlOf(env: Environment): string | undefined {
  return env.DATABASE_URL?.trim() || undefined
}

/** Adds placeholders for secrets that a first start would create, to check whether that start would succeed. */
export function withPlannedSecrets(env: Environment, stored: Environment): Environment {
  if (databaseUrlOf(env)) return stored
  if (env.CH202_ENV?.trim() === 'production' || existsSync(secretsFile(dataDirOf(env)))) return stored
  const missing = SECRETS.filter((name) => !stored[name]?.trim())
  // Long enough, and not a known sample.
  return { ...stored, ...Object.fromEntries(missing.map((name) => [name, `${name}-to-be-made-at-the-first-start`])) }
}
