import type { ModuleFeedSource, ModulePage } from '../services/kit/access/module-gate.ts'
import { hasWildcardHost } from '../services/kit/outgoing.ts'
import { type Instance, Unanswered } from './instance.ts'
import type { Settings } from './settings.ts'

/** What auth publishes about the instance, of what is read here (RFC 8414). */
interface Metadata {
  ch202?: { modules?: string }
}

/** The two questions that the gate of a module asks of modules. */
export function moduleFeedSource(instance: Instance, { modulesUrl, url }: Pick<Settings, 'modulesUrl' | 'url'>) {
  let known = modulesUrl
  const base = async () => {
    known ??= await published(instance, url)
    return `${known}/api/v1/modules`
  }
  const source: ModuleFeedSource = {
    async poll(module, follower, after, epoch) {
      const query = new URLSearchParams({ module, follower, after: String(after), epoch })
      return await instance.ask<ModulePage>(`${await base()}/sync/feed?${query}`)
    },
    async modulesOf(userId, requestId) {
      const { modules } = await instance.ask<{ modules: string[] }>(
        `${await base()}/users/${encodeURIComponent(userId)}`,
        { requestId },
      )
      return modules
    },
  }
  return source
}

/** The address of modules, as auth publishes it. */
async function published(instance: Instance, url: string): Promise<string> {
  const { ch202 } = await instance.ask<Metadata>(`${url}/.well-known/oauth-authorization-server`)
  const found = ch202?.modules
  if (found === undefined || !URL.canParse(found))
    throw new Unanswered('Auth does not say where modules is: set modulesUrl')
  if (isWorse(new URL(url), new URL(found)))
    throw new Unanswered('The address of modules that auth publishes is not for this machine: set modulesUrl')
  return found.replace(/\/+$/, '')
}

/** The internal key is sent there: neither in the clear where auth is not, nor to whoever listens on this machine. */
function isWorse(auth: URL, modules: URL): boolean {
  if (auth.protocol === 'https:' && modules.protocol !== 'https:') return true
  return isLoopback(modules) && !isLoopback(auth)
}

/** What one listens on at every address is this machine to whoever calls it. */
function isLoopback({ hostname, href }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.') || hasWildcardHost(href)
}
