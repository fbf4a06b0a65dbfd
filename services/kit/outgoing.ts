import { BlockList, isIP } from 'node:net'
import { hostname } from 'node:os'
import { unmapped } from './ip-address.ts'

/**
 * The proxy variables. Bun's `fetch` obeys them for every address, even loopback, unless the call forbids it. So every
 * HTTP call of the program goes through this file, which decides about proxies; `biome.json` refuses `fetch` in all
 * others. Addresses that OAuth clients give are called by `callClientAddress` (outgoing-public.ts), mail and AMQP use
 * sockets: all without a proxy.
 */
const PROXY_VARIABLES = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'].flatMap((name) => [name, name.toLowerCase()])

/**
 * Calls an address of the settings, the command line or a context (a saved login of the tool), never through a proxy:
 * such calls carry keys, passwords and tokens.
 * @throws the errors of `fetch`
 */
export function callDirectly(input: string | URL | Request, init: BunFetchRequestInit = {}): Promise<Response> {
  // Bun ignores `proxy` in a Request, and an empty string would not turn it off.
  return fetch(input, { ...init, proxy: false })
}

/**
 * Calls an external address, such as a webhook: through the proxy of the environment, unless the address is this machine
 * or a host of the settings.
 * @param hosts the hosts of the settings (`Config.hosts`)
 * @throws the errors of `fetch`
 */
export function callExternal(url: string, hosts: readonly string[], init: RequestInit): Promise<Response> {
  return isOwnHost(url, hosts) ? callDirectly(url, init) : fetch(url, init)
}

/** Whether a URL names this machine, without a DNS lookup, or one of the hosts. */
export function isOwnHost(url: string, hosts: readonly string[]): boolean {
  const host = hostOf(url)
  return hosts.includes(host) || isLoopback(host)
}

/** The host of a URL in canonical spelling, for comparisons; an empty string when it has none. */
export function hostOf(url: string): string {
  const { hostname = '' } = URL.parse(url) ?? {}
  // A trailing dot names the same host (RFC 1034, 3.1). The parser lowers the case for http only.
  const host = hostname
    .toLowerCase()
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
  return unmapped(host)
}

/**
 * Whether a URL's host is a wildcard address (`0.0.0.0`, `[::]`, in any spelling): a server can listen on it, but no other
 * machine can connect to it.
 */
export function hasWildcardHost(url: string): boolean {
  return /^(0(\.\d+){3}|\[::\]|\[::ffff:0:0\])$/.test(new URL(url).hostname)
}

/** The names of the proxy variables that are set. Their values may hold a password. */
export function proxyVariables(env: Record<string, string | undefined>): string[] {
  return PROXY_VARIABLES.filter((name) => env[name]?.trim())
}

/** `localhost` and names that end with it (RFC 6761, 6.3); the others are in `/etc/hosts` of most systems. */
const LOOPBACK_NAMES =
  /^(.+\.)?localhost$|^localhost\.localdomain$|^localhost[46](\.localdomain[46])?$|^ip6-(localhost|loopback)$/

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
// Connects to this machine on Linux and macOS.
loopback.addSubnet('0.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')
loopback.addAddress('::', 'ipv6')

function isLoopback(host: string): boolean {
  const family = isIP(host)
  if (family === 0) return LOOPBACK_NAMES.test(host) || host === hostname().toLowerCase()
  return loopback.check(host, family === 4 ? 'ipv4' : 'ipv6')
}
