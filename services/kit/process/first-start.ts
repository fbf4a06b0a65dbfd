import { hasWildcardHost } from '../outgoing.ts'
import type { Config } from './config.ts'

/**
 * Why a first start is refused: the issuer is kept from then on and stands in every token, and links in mails lead
 * somewhere. Later starts go on with what was settled, which `ch202 doctor` reports.
 * @param setting the name of the setting that says where auth is @param address its value
 * @returns faults in the words of a ConfigError
 */
export function firstStartFaults(
  { issuer, publicUrl }: Pick<Config, 'issuer' | 'publicUrl'>,
  setting: string,
  address: string,
): string[] {
  const faults: string[] = []
  const host = 'has a host that stands for every address of this machine'
  if (issuer === undefined && hasWildcardHost(address))
    faults.push(`ISSUER must be set: ${setting} ${host}, and would stand in every token`)
  if (hasWildcardHost(publicUrl))
    faults.push(`PUBLIC_URL must be set: CH202_URL ${host}, and links in mails lead there`)
  return faults
}
