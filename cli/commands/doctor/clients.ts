import { isIP } from 'node:net'
import { hostOf } from '../../../services/kit/outgoing.ts'
import { addressesOf, isPrivateHost } from '../../../services/kit/outgoing-public.ts'
import { isPublicAddress } from '../../../services/kit/public-address.ts'
import { withTimeout } from '../../../services/kit/timeout.ts'
import { counted } from '../../terminal/terminal.ts'
import { type Check, ok, skipped, warning } from './check.ts'
import { withDatabase } from './databases.ts'

/** Milliseconds for the names of all hosts. A name that is not resolved by then is not reported. */
const PATIENCE = 2000
const NAMED_MAX = 3
/** How long a client may fail to acknowledge the end of a session. */
const LATE_AFTER = 600_000

export const clientsChecks: Check[] = [
  {
    id: 'clients.addresses',
    describes: 'auth can call the addresses of OAuth clients: their hosts are public, or in `OAUTH_PRIVATE_HOSTS`',
    run: withDatabase('auth', async (auth, { config }) => {
      if (!config) return skipped('The settings are not valid')
      const addresses = await auth.clientAddresses()
      if (addresses.length === 0) return ok('No client has an address that auth calls')
      const unlisted = addresses.filter(({ address }) => !isPrivateHost(address, config.oauthPrivateHosts))
      const refused = await privateHosts(unlisted.map(({ address }) => hostOf(address)))
      if (refused.length === 0)
        return ok(`Auth can call ${counted(addresses.length, 'address', 'addresses')} of clients`)
      const names = new Set(
        unlisted.filter(({ address }) => refused.includes(hostOf(address))).map(({ client }) => client),
      )
      return warning(
        `Auth does not call ${shortened(refused)}, which ${refused.length === 1 ? 'is' : 'are'} private, for ${shortened([...names])}`,
        `OAUTH_PRIVATE_HOSTS=${[...config.oauthPrivateHosts, ...refused].join(',')}`,
      )
    }),
  },
  {
    id: 'clients.logouts',
    describes: 'apps acknowledge the end of sessions (back-channel logout) within ten minutes',
    run: withDatabase('auth', async (auth, { now }) => {
      const failing = await auth.failingLogouts(now - LATE_AFTER)
      if (failing.length === 0) return ok('No app fails to acknowledge the end of sessions')
      const waiting = failing.reduce((sum, client) => sum + client.waiting, 0)
      const reasons = [...new Set(failing.map(({ reason }) => reason))]
      return warning(
        `${shortened(failing.map(({ client }) => client))} ${failing.length === 1 ? 'has' : 'have'} not acknowledged the end of ${counted(waiting, 'session')} for over ten minutes (${shortened(reasons)})`,
        'ch202 logs auth --level warn',
      )
    }),
  },
]

/** The hosts that have an address which is not public, as far as this machine can resolve them. */
async function privateHosts(hosts: readonly string[]): Promise<string[]> {
  const hostsWithPrivate = new Set<string>()
  const examineHost = async (host: string) => {
    const addresses = isIP(host) ? [host] : await addressesOf(host).catch(() => [])
    if (addresses.some((address) => !isPublicAddress(address))) hostsWithPrivate.add(host)
  }
  await withTimeout(Promise.all([...new Set(hosts)].map(examineHost)), PATIENCE)
  return [...hostsWithPrivate].sort()
}

function shortened(names: readonly string[]): string {
  const more = names.length - NAMED_MAX
  return `${names.slice(0, NAMED_MAX).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}
