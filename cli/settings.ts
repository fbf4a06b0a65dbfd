import { type Config, type Environment, readConfig } from '../services/kit/config.ts'
import { withSecrets, withSecretsFile } from '../services/kit/secrets.ts'

export type { Environment }

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
