import { randomBytes } from 'node:crypto'
import { chmodSync, linkSync, mkdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import type { Environment } from './config.ts'

const NAMES = ['INTERNAL_API_KEY', 'OPERATOR_API_KEY', 'CH202_SECRET'] as const

/** The file in the data directory that holds the secrets made at the first start. */
export function secretsFile(dataDir: string): string {
  return join(dataDir, 'secrets.env')
}

/** What `secrets.env` holds; nothing where there is none. The environment wins over it. */
export function withSecretsFile(env: Environment, dataDir: string): Environment {
  try {
    const kept = parseEnv(readFileSync(secretsFile(dataDir), 'utf8')) as Environment
    return { ...kept, ...withoutEmpty(env) }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return env
    // The system's own text does not always say which file.
    throw new Error(`${secretsFile(dataDir)} cannot be read: ${(error as Error).message}`, { cause: error })
  }
}

/**
 * The environment with the three secrets in it: from itself, from `secrets.env`, or, in development, newly made.
 * Makes the data directory where there is none. In production nothing is made: what is missing is a fault of the
 * settings.
 * @throws the file system's error when the directory or the file can't be written or read
 */
export function withSecrets(env: Environment, dataDir: string): Environment {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const known = withSecretsFile(env, dataDir)
  const missing = NAMES.some((name) => !known[name]?.trim())
  if (!missing || env.CH202_ENV === 'production') return known
  makeSecretsFile(dataDir)
  return withSecretsFile(env, dataDir)
}

/**
 * Three services that start together on an empty directory all find no file. Each writes one under a name of its own
 * and links it into place: the first link wins, whole, and the losers read the winner's.
 */
function makeSecretsFile(dataDir: string): void {
  const file = secretsFile(dataDir)
  const own = `${file}.${process.pid}-${randomBytes(4).toString('hex')}`
  const lines = NAMES.map((name) => `${name}=${randomBytes(32).toString('base64url')}`)
  writeFileSync(own, `# Made at the first start. Whoever reads this file is an operator.\n${lines.join('\n')}\n`, {
    mode: 0o600,
    flag: 'wx',
    flush: true,
  })
  chmodSync(own, 0o600)
  try {
    linkSync(own, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    unlinkSync(own)
  }
}

function withoutEmpty(env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value?.trim()))
}
