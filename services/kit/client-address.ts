import { BlockList, isIP } from 'node:net'

/**
 * Whom a request comes from: the connection's address, or, where that is one of our proxies, the last address in
 * `X-Forwarded-For` that is not. What stands before it is the client's own claim and counts for nothing.
 */
export class ClientAddress {
  private readonly proxies = new BlockList()
  private readonly any: boolean

  /** @param trusted addresses and networks (`10.0.0.0/8`), as `TRUSTED_PROXIES` lists them */
  constructor(trusted: readonly string[]) {
    this.any = trusted.length > 0
    for (const entry of trusted) {
      const [address = '', prefix] = entry.split('/')
      const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
      if (prefix === undefined) this.proxies.addAddress(address, family)
      else this.proxies.addSubnet(address, Number(prefix), family)
    }
  }

  /** @param forwardedFor gives the header, which is not read where no proxy is trusted */
  of(peer: string | null, forwardedFor: () => string | null): string | null {
    if (peer === null) return null
    const direct = plain(peer)
    const hops = this.any && this.trusts(direct) ? forwardedFor() : null
    if (!hops) return direct
    let client = direct
    for (const element of hops.split(',').reverse()) {
      const hop = element.trim()
      // An empty element of a list is none (RFC 9110, 5.6.1.2).
      if (hop === '') continue
      const address = plain(withoutPort(hop))
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

/** Some proxies write the client's port too, which is another for each connection: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
function withoutPort(hop: string): string {
  const [, bracketed, bare] = /^(?:\[([^\]]+)\](?::\d{1,5})?|([\d.]+):\d{1,5})$/.exec(hop) ?? []
  return bracketed ?? bare ?? hop
}

/** One spelling for every address; an IPv4 address in IPv6's clothes is the IPv4 address. What is no address stays. */
function plain(address: string): string {
  if (isIP(address) !== 6) return address
  const [bare = ''] = address.split('%')
  // Bun's URL refuses some that end in an IPv4 address, such as `::1:2:3:4:192.0.2.1`.
  const hexadecimal = bare.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...parts) =>
    groupsOf(parts.slice(0, 4).map(Number)),
  )
  const canonical = new URL(`http://[${hexadecimal}]`).hostname.slice(1, -1)
  const mapped = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(canonical)
  if (!mapped) return canonical
  return mapped
    .slice(1)
    .map((group) => Number.parseInt(group, 16))
    .flatMap((group) => [group >> 8, group & 255])
    .join('.')
}

/** The four bytes of an IPv4 address as the last two groups of an IPv6 one. */
function groupsOf([a = 0, b = 0, c = 0, d = 0]: number[]): string {
  return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
}

/**
 * What a limit counts an address under: IPv4 as it is; of IPv6 the /64, which one client has to itself, in one
 * spelling.
 */
export function limitKey(address: string): string {
  const one = plain(address)
  if (isIP(one) !== 6) return one
  const [head = '', tail] = one.split('::')
  const left = head.split(':').filter(Boolean)
  const right = tail === undefined ? [] : tail.split(':').filter(Boolean)
  const groups = [...left, ...Array(Math.max(0, 8 - left.length - right.length)).fill('0'), ...right]
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`
}
