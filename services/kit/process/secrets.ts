import { randomBytes } from 'node:crypto'
import { chmodSync, linkSync, mkdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import type { Environment } from './setting-reader.ts'

const NAMES = ['INTERNAL_API_KEY', 'OPERATOR_API_KEY', 'CH202_SECRET'] as const

/** The file in the data directory with the secrets that the first start generated. */
export function secretsFile(dataDir: string): string {
  return join(dataDir, 'secrets.env')
}

/** The environment with the values of `secrets.env`, if it exists. The environment takes precedence. */
export function withSecretsFile(env: Environment, dataDir: string): Environment {
  try {
    const secrets = parseEnv(readFileSync(secretsFile(dataDir), 'utf8')) as Environment
    return { ...secrets, ...withoutEmpty(env) }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return env
    // The system's message does not always name the file.
    throw new Error(`${secretsFile(dataDir)} cannot be read: ${(error as Error).message}`, { cause: error })
  }
}

/**
 * The environment with the three secrets: its own, those of `secrets.env`, or generated ones. Creates the data
 * directory if it does not exist. In production, and with a `DATABASE_URL`, nothing is generated: `readConfig` reports
 * what is missing.
 * @throws the file system's error when the directory or the file cannot be read or written
 */
export function withSecrets(env: Environment, dataDir: string): Environment {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const environment = withSecretsFile(env, dataDir)
  const isMissing = NAMES.some((name) => !environment[name]?.trim())
  // Several machines must have the same secrets: a file of one of them would not do.
  if (!isMissing || env.CH202_ENV === 'production' || env.DATABASE_URL?.trim()) return environment
  createSecretsFile(dataDir)
  return withSecretsFile(env, dataDir)
}

/**
 * Creates `secrets.env`. Several services may start together on an empty directory: each writes a file under another name
 * and links it into place. The first link wins, and the others read the winner's complete file.
 */
function createSecretsFile(dataDir: string): void {
  const file = secretsFile(dataDir)
  const draft = `${file}.${process.pid}-${randomBytes(4).toString('hex')}`
  const lines = NAMES.map((name) => `${name}=${randomBytes(32).toString('base64url')}`)
  writeFileSync(
    draft,
    `# Generated at the first start. Anyone who can read this file has an operator's access.\n${lines.join('\n')}\n`,
    {
      mode: 0o600,
      flag: 'wx',
      flush: true,
    },
  )
  chmodSync(draft, 0o600)
  try {
    linkSync(draft, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    unlinkSync(draft)
  }
}

function withoutEmpty(env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value?.trim()))
}
