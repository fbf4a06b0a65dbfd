import { isIP } from 'node:net'
import { isLocal } from '../../client/connection.ts'
import { counted } from '../../terminal/terminal.ts'
import { type Check, type DoctorContext, type Finding, ok, skipped, warning } from './check.ts'
import { withDatabase } from './databases.ts'

type Settings = NonNullable<DoctorContext['config']>

export const factorsChecks: Check[] = [
  {
    id: 'passkeys.domain',
    describes:
      'the host of `PUBLIC_URL` is `PASSKEY_RP_ID` or below it, and no IP address, for which there are no passkeys',
    run: ({ config }) => (config ? checkDomain(config) : skipped('The settings are not valid')),
  },
  {
    id: 'passkeys.relying_party',
    describes: '`PASSKEY_RP_ID`, or the host of `PUBLIC_URL`, is still that of the first passkey, which all have',
    run: withDatabase('auth', async (data, { config }) => {
      const stored = await data.passkeyRpId()
      if (stored === undefined) return ok('There are no passkeys yet')
      if (!config) return skipped('The settings are not valid')
      return checkRelyingParty(stored, config)
    }),
  },
  {
    id: 'factors.administrators',
    describes: 'who must have a second factor (`MFA`), and how many administrators have none',
    run: withDatabase('auth', async (data, { config }) => {
      if (!config) return skipped('The settings are not valid')
      return administratorsFinding(config, await data.administrators())
    }),
  },
]

/** The relying party that the settings name. */
function rpIdOf({ passkeyRpId, publicUrl }: Settings): string {
  return passkeyRpId ?? hostOf(publicUrl)
}

/** The host of an address, of IPv6 without brackets. */
function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, '')
}

/** Whether pages of a host may use the passkeys of a relying party (WebAuthn 3, 5.1.3). */
function mayUse(host: string, rpId: string): boolean {
  return host === rpId || host.endsWith(`.${rpId}`)
}

function checkDomain(config: Settings): Finding {
  const host = hostOf(config.publicUrl)
  const rpId = rpIdOf(config)
  if (isIP(host) !== 0) {
    const message = `PUBLIC_URL has the IP address ${host}, at which browsers have no passkeys`
    if (isLocal(config.publicUrl)) return ok(`${message}; there are at localhost`)
    return warning(message, 'PUBLIC_URL=https://…')
  }
  if (mayUse(host, rpId)) return ok(`Passkeys are for ${rpId}`)
  return warning(
    `PASSKEY_RP_ID is ${rpId}, which is neither ${host} of PUBLIC_URL nor a domain above it: browsers refuse passkeys there`,
    `PASSKEY_RP_ID=${host}`,
  )
}

function checkRelyingParty(stored: string, config: Settings): Finding {
  const rpId = rpIdOf(config)
  if (stored === rpId) return ok(`All passkeys are for ${stored}, as the settings say`)
  const { publicUrl } = config
  const effect = mayUse(hostOf(publicUrl), stored)
    ? 'the first passkey decides, so the setting has no effect'
    : `they cannot be used at ${publicUrl}`
  return warning(`All passkeys are for ${stored}, but the settings say ${rpId}: ${effect}`, `PASSKEY_RP_ID=${stored}`)
}

function administratorsFinding({ mfa }: Settings, { total, withoutFactor }: { total: number; withoutFactor: number }) {
  const who = { optional: 'Nobody', admins: 'Administrators', all: 'Everyone' }[mfa]
  const must = `${who} must have a second factor (MFA=${mfa})`
  if (total === 0) return ok(must)
  const later = mfa === 'optional' || withoutFactor === 0 ? '' : ': the next login asks to add one'
  return ok(
    `${must}; of ${counted(total, 'administrator')} ${withoutFactor} ${withoutFactor === 1 ? 'has' : 'have'} no second factor${later}`,
  )
}
