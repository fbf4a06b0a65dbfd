import type { ModuleFeedSource, ModulePage } from '../services/kit/access/module-gate.ts'
import { hasWildcardHost } from '../services/kit/outgoing.ts'
import type { Instance } from './instance.ts'
import { NoAnswer } from './no-answer.ts'
import type { Settings } from './settings.ts'

/** The part of auth's metadata (RFC 8414) that the guard reads. */
interface Metadata {
  ch202?: { modules?: string }
}

/** The two calls that the gate of a module makes to modules. */
export function moduleFeedSource(instance: Instance, { modulesUrl, url }: Pick<Settings, 'modulesUrl' | 'url'>) {
  let address = modulesUrl
  const base = async () => {
    address ??= await publishedAddress(instance, url)
    return `${address}/api/v1/modules`
  }
  const source: ModuleFeedSource = {
    async poll(module, subscriber, after, epoch) {
      const query = new URLSearchParams({ module, follower: subscriber, after: String(after), epoch })
      return await instance.call<ModulePage>(`${await base()}/sync/feed?${query}`, { scope: 'modules:read' })
    },
    async modulesOf(userId, requestId) {
      const { modules } = await instance.call<{ modules: string[] }>(
        `${await base()}/users/${encodeURIComponent(userId)}`,
        { requestId, scope: 'modules:read' },
      )
      return modules
    },
  }
  return source
}

/** The address of modules, as auth publishes it. @throws NoAnswer when auth publishes none that can be trusted */
async function publishedAddress(instance: Instance, url: string): Promise<string> {
  const { ch202 } = await instance.call<Metadata>(`${url}/.well-known/oauth-authorization-server`)
  const address = ch202?.modules
  if (address === undefined || !URL.canParse(address))
    throw new NoAnswer('Auth does not publish the address of modules: set modulesUrl')
  if (isLessSafe(new URL(address), new URL(url)))
    throw new NoAnswer('The address of modules that auth publishes is not for this machine: set modulesUrl')
  return address.replace(/\/+$/, '')
}

/** Whether the key or the token would be sent unencrypted or to this machine, although auth's address is neither. */
function isLessSafe(modules: URL, auth: URL): boolean {
  if (auth.protocol === 'https:' && modules.protocol !== 'https:') return true
  return isLoopback(modules) && !isLoopback(auth)
}

/** A wildcard address counts: a client that connects to it reaches its own machine. */
function isLoopback({ hostname, href }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.') || hasWildcardHost(href)
}
