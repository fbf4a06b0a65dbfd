import { BlockList, isIP } from 'node:net'
import { hostname } from 'node:os'

/**
 * Every HTTP call of the program goes through this file, which decides whether a proxy may see it. Bun's `fetch` obeys
 * the variables below for every address, loopback too, unless the call itself forbids it, so no other file calls `fetch`
 * (`biome.json` and `tests/code/imports.test.ts` refuse it). Mail and AMQP use sockets, which know no proxy.
 */
const PROXY_VARIABLES = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'].flatMap((name) => [name, name.toLowerCase()])

/**
 * Calls an address of the settings, of the command line or of a context. Such calls carry keys, passwords and tokens,
 * so they never go through a proxy.
 * @throws what `fetch` throws
 */
export function direct(input: string | URL | Request, init: BunFetchRequestInit = {}): Promise<Response> {
  // Stands here and not in a Request: Bun ignores it there. An empty string would not turn the proxy off.
  return fetch(input, { ...init, proxy: false })
}

/**
 * Calls an address of someone else, such as a webhook: through the proxy of the environment where there is one, unless
 * the address is of this machine or of a host that the settings name.
 * @param hosts those that the settings name (`Config.hosts`)
 * @throws what `fetch` throws
 */
export function outside(url: string, hosts: readonly string[], init: RequestInit): Promise<Response> {
  return isInside(url, hosts) ? direct(url, init) : fetch(url, init)
}

/** Whether a URL leads to this machine, as far as its text says, or to one of the hosts. */
export function isInside(url: string, hosts: readonly string[]): boolean {
  const host = hostOf(url)
  return hosts.includes(host) || isLoopback(host)
}

/** The host of an address, in the one spelling in which it is compared; an empty string where there is none. */
export function hostOf(url: string): string {
  const { hostname = '' } = URL.parse(url) ?? {}
  // A trailing dot names the same host (RFC 1034, 3.1). The parser puts hosts in lower case for http alone.
  const host = hostname
    .toLowerCase()
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
  const [, high, low] = MAPPED.exec(host) ?? []
  if (high === undefined || low === undefined) return host
  return [high, low].flatMap((part) => [Number.parseInt(part, 16) >> 8, Number.parseInt(part, 16) & 255]).join('.')
}

/** An IPv4 address written as an IPv6 one (RFC 4291, 2.5.5.2), as the parser spells it. */
const MAPPED = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/

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

/** `/etc/hosts` of most systems has the second line; `localhost` and what ends with it: RFC 6761, 6.3. */
const LOOPBACK_NAMES =
  /^(.+\.)?localhost$|^localhost\.localdomain$|^localhost[46](\.localdomain[46])?$|^ip6-(localhost|loopback)$/

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
// Leads to this machine on Linux and macOS.
loopback.addSubnet('0.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')
loopback.addAddress('::', 'ipv6')

function isLoopback(host: string): boolean {
  const family = isIP(host)
  if (family === 0) return LOOPBACK_NAMES.test(host) || host === hostname().toLowerCase()
  return loopback.check(host, family === 4 ? 'ipv4' : 'ipv6')
}
