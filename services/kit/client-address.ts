import { BlockList, isIP } from 'node:net'
import { canonicalAddress } from './ip-address.ts'

/**
 * Finds the client's address of a request: the address of the connection or, if that is a trusted proxy, the last address
 * in `X-Forwarded-For` that is not. Earlier addresses are the client's own claim and are ignored.
 */
export class ClientAddress {
  private readonly proxies = new BlockList()
  private readonly hasProxies: boolean

  /** @param trusted addresses and networks (`10.0.0.0/8`), as `TRUSTED_PROXIES` lists them */
  constructor(trusted: readonly string[]) {
    this.hasProxies = trusted.length > 0
    for (const entry of trusted) {
      const [address = '', prefix] = entry.split('/')
      const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
      if (prefix === undefined) this.proxies.addAddress(address, family)
      else this.proxies.addSubnet(address, Number(prefix), family)
    }
  }

  /** @param forwardedFor reads the header; only called for a trusted proxy */
  of(peer: string | null, forwardedFor: () => string | null): string | null {
    if (peer === null) return null
    const direct = canonicalAddress(peer)
    const hops = this.hasProxies && this.trusts(direct) ? forwardedFor() : null
    if (!hops) return direct
    let client = direct
    for (const element of hops.split(',').reverse()) {
      const hop = element.trim()
      // Empty list elements are ignored (RFC 9110, 5.6.1.2).
      if (hop === '') continue
      const address = canonicalAddress(withoutPort(hop))
      if (isIP(address) === 0) break
      client = address
      if (!this.trusts(address)) break
    }
    return client
  }

  private trusts(address: string): boolean {
    const family = isIP(address)
    return family !== 0 && this.proxies.check(address, family === 6 ? 'ipv6' : 'ipv4')
  }
}

/** Removes the client's port, which some proxies write: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
function withoutPort(hop: string): string {
  const [, ipv6, ipv4] = /^(?:\[([^\]]+)\](?::\d{1,5})?|([\d.]+):\d{1,5})$/.exec(hop) ?? []
  return ipv6 ?? ipv4 ?? hop
}

/**
 * The key under which a rate limit counts an address: an IPv4 address itself; the /64 network of an IPv6 address, because
 * one client usually has a whole /64. Other text is unchanged.
 */
export function limitKey(address: string): string {
  const canonical = canonicalAddress(address)
  if (isIP(canonical) !== 6) return canonical
  const [head = '', tail] = canonical.split('::')
  const before = head.split(':').filter(Boolean)
  const after = tail === undefined ? [] : tail.split(':').filter(Boolean)
  const groups = [...before, ...Array(Math.max(0, 8 - before.length - after.length)).fill('0'), ...after]
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`
}
