import { existsSync } from 'node:fs'
import { hasWildcardHost } from '../../services/kit/outgoing.ts'
import { type Config, ConfigError } from '../../services/kit/process/config.ts'
import { firstStartFaults } from '../../services/kit/process/first-start.ts'

/** The setting for auth's address: its own, or that of one process with all services. */
export type AuthAddressSetting = 'AUTH_URL' | 'CH202_URL'

/** @throws ConfigError if a first start would fix an issuer or links that no other machine can reach */
export async function refuseUnreachable(config: Config, at: AuthAddressSetting): Promise<void> {
  const faults = firstStartErrors(config, [at])
  if (faults.length > 0 && (await storedIssuer(config.dataDir)) === undefined) throw new ConfigError(faults)
}

/** Errors in addresses that no other machine can reach, in the settings or in the issuer fixed by the first start. */
export async function unreachableSettings(config: Config): Promise<string[]> {
  const stored = await storedIssuer(config.dataDir)
  if (stored === undefined) return firstStartErrors(config, ['AUTH_URL', 'CH202_URL'])
  return config.issuer === undefined && URL.canParse(stored) && hasWildcardHost(stored)
    ? [`ISSUER must be set: since the first start tokens are issued as ${stored}, which no other machine can reach`]
    : []
}

function firstStartErrors(config: Config, places: readonly AuthAddressSetting[]): string[] {
  const faults = places.flatMap((at) =>
    firstStartFaults(config, at, at === 'AUTH_URL' ? config.addresses.auth : config.url),
  )
  return [...new Set(faults)]
}

/** The issuer fixed by the first start; undefined before it, '' if the database cannot be read now. */
async function storedIssuer(dataDir: string): Promise<string | undefined> {
  const [{ databases }, { InspectedDatabase, issuerOf }] = await Promise.all([
    import('../../services/databases.ts'),
    import('../../db/sqlite/inspect/index.ts'),
  ])
  const auth = databases(dataDir).find(({ name, path }) => name === 'auth' && existsSync(path))
  if (!auth) return undefined
  try {
    const database = InspectedDatabase.open(auth)
    const issuer = issuerOf(database)
    database.close()
    return issuer
  } catch {
    return ''
  }
}
