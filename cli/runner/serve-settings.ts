import { join } from 'node:path'
import { type Config, readConfig } from '../../services/kit/process/config.ts'
import { secretsFile, withSecrets } from '../../services/kit/process/secrets.ts'
import type { Environment } from '../../services/kit/process/setting-reader.ts'
import { SERVICES, type ServiceName } from '../../services/registry.ts'
import { dataDirOf, withStoredSecrets } from '../client/settings.ts'
import { EXIT, Failure } from '../exit.ts'
import { readStored } from './stored-data.ts'

/**
 * Reads the settings for services that are about to start. In development, the first start creates their secrets.
 * @throws ConfigError; Failure if the secret that encrypts the existing signing keys is missing
 */
export async function settingsToServe(env: Environment): Promise<Config<ServiceName>> {
  const dataDir = dataDirOf(env)
  const hasSecret = () => Boolean(withStoredSecrets(env).CH202_SECRET?.trim())
  if (!hasSecret()) await refuseSealedKeys(dataDir, hasSecret)
  return readConfig(withSecrets(env, dataDir), SERVICES)
}

/**
 * Refuses to start with a new secret if signing keys exist: the new one could not decrypt them, and the loss would go
 * unnoticed until later.
 * @param hasSecret checks again: a service that starts meanwhile writes the secret before any key
 */
async function refuseSealedKeys(dataDir: string, hasSecret: () => boolean): Promise<void> {
  // The service itself reports an unreadable database, when it opens it.
  const keys = await readStored(
    { dataDir, service: 'auth' },
    async (database) => (await import('../../db/sqlite/inspect/index.ts')).keysOf(database).length,
    0,
  )
  if (!keys || hasSecret()) return
  throw new Failure(
    EXIT.failed,
    `CH202_SECRET is missing, and only it can decrypt the signing keys in ${join(dataDir, 'auth.sqlite')}`,
    {
      code: 'secret_missing',
      suggestion: `put ${secretsFile(dataDir)} back, or: ch202 restore latest --new-secret`,
    },
  )
}
