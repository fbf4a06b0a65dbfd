import { hasWildcardHost } from '../../services/kit/outgoing.ts'
import { type Config, ConfigError } from '../../services/kit/process/config.ts'
import { firstStartFaults } from '../../services/kit/process/first-start.ts'
import { readStored } from './stored-data.ts'

/** The setting for auth's address: its own, or that of one process with all services. */
export type AuthAddressSetting = 'AUTH_URL' | 'CH202_URL'

/** @throws ConfigError if a first start would fix an issuer or links that no other machine can reach */
export async function refuseUnreachable(config: Config, setting: AuthAddressSetting): Promise<void> {
  const faults = firstStartErrors(config, [setting])
  if (faults.length > 0 && (await storedIssuer(config)) === undefined) throw new ConfigError(faults)
}

/** Errors in addresses that no other machine can reach, in the settings or in the issuer fixed by the first start. */
export async function unreachableSettings(config: Config): Promise<string[]> {
  const stored = await storedIssuer(config)
  if (stored === undefined) return firstStartErrors(config, ['AUTH_URL', 'CH202_URL'])
  return config.issuer === undefined && URL.canParse(stored) && hasWildcardHost(stored)
    ? [`ISSUER must be set: since the first start tokens are issued as ${stored}, which no other machine can reach`]
    : []
}

function firstStartErrors(config: Config, settings: readonly AuthAddressSetting[]): string[] {
  const faults = settings.flatMap((setting) =>
    setting === 'AUTH_URL'
      ? firstStartFaults(config, setting, { address: config.addresses.auth, listen: config.listen.auth })
      : firstStartFaults({ ...config, publicUrl: config.publicUrlAtOneAddress }, setting, {
          address: config.url,
          listen: config.listenAll,
        }),
  )
  return [...new Set(faults)]
}

/** The issuer fixed by the first start; undefined before it, '' if the database cannot be read now. */
function storedIssuer(config: Config): Promise<string | undefined> {
  return readStored(config, 'auth', (auth) => auth.issuer(), '')
}
