import { existsSync } from 'node:fs'
import { isUnreachable } from '../../services/kit/process/base-url.ts'
import { type Config, ConfigError } from '../../services/kit/process/config.ts'
import { firstStartFaults } from '../../services/kit/process/first-start.ts'

/** The setting that says where auth is: its own, or that of the one process of all services. */
export type AddressOfAuth = 'AUTH_URL' | 'CH202_URL'

/** @throws ConfigError where a first start would settle an issuer that no one can reach, or links that lead nowhere */
export async function refuseUnreachable(config: Config, at: AddressOfAuth): Promise<void> {
  const faults = firstFaults(config, [at])
  if (faults.length > 0 && (await keptIssuer(config.dataDir)) === undefined) throw new ConfigError(faults)
}

/** What of the settings no one can reach: of those of a first start, or of what an earlier one has settled. */
export async function unreachable(config: Config): Promise<string[]> {
  const stored = await keptIssuer(config.dataDir)
  if (stored === undefined) return firstFaults(config, ['AUTH_URL', 'CH202_URL'])
  return config.issuer === undefined && URL.canParse(stored) && isUnreachable(stored)
    ? [`ISSUER must be set: tokens are issued under ${stored} since the first start, and no other machine reaches that`]
    : []
}

function firstFaults(config: Config, places: readonly AddressOfAuth[]): string[] {
  const faults = places.flatMap((at) =>
    firstStartFaults(config, at, at === 'AUTH_URL' ? config.addresses.auth : config.url),
  )
  return [...new Set(faults)]
}

/** What tokens are issued under since the first start, if there was one; of a database that can't be read now, ''. */
async function keptIssuer(dataDir: string): Promise<string | undefined> {
  const [{ databases }, { InspectedDatabase, issuerOf }] = await Promise.all([
    import('../../db/sqlite/databases.ts'),
    import('../../db/sqlite/inspect/index.ts'),
  ])
  const auth = databases(dataDir).find(({ name, path }) => name === 'auth' && existsSync(path))
  if (!auth) return undefined
  try {
    const examined = InspectedDatabase.open(auth)
    const issuer = issuerOf(examined)
    examined.close()
    return issuer
  } catch {
    return ''
  }
}
