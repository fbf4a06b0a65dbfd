import { hasWildcardHost, isOwnHost } from '../outgoing.ts'
import type { Config } from './config.ts'

/**
 * Finds the reasons to refuse a first start: the issuer is stored and is part of every token, and links in mails must lead
 * somewhere. Later starts use the stored issuer; `ch202 doctor` reports a bad one.
 * @param setting the name of the setting with the address of auth
 * @param address its value
 * @param listen the address at which auth listens
 * @returns faults for a ConfigError
 */
export function firstStartFaults(
  { issuer, publicUrl, url }: Pick<Config, 'issuer' | 'publicUrl' | 'url'>,
  setting: string,
  { address, listen }: { address: string; listen: string },
): string[] {
  const faults: string[] = []
  const host = 'has a wildcard address as its host'
  if (issuer === undefined && hasWildcardHost(address))
    faults.push(`ISSUER must be set: ${setting} ${host}, and would be in every token`)
  else if (issuer === undefined && isOwnHost(address, []) && isOpen(listen))
    faults.push(
      `ISSUER must be set: ${setting} is an address of this machine alone, and would be in every token, although auth listens for others`,
    )
  if (hasWildcardHost(publicUrl))
    faults.push(
      `PUBLIC_URL must be set: ${publicUrl === url ? 'CH202_URL' : 'WEB_URL'} ${host}, and links in mails start with it`,
    )
  return faults
}

/** Whether other machines can reach a server that listens at an address. */
function isOpen(listen: string): boolean {
  return hasWildcardHost(listen) || !isOwnHost(listen, [])
}
