import { isIP } from 'node:net'

/** The canonical spelling of an address; an IPv4-mapped IPv6 address becomes the IPv4 address. Other text is unchanged. */
export function canonicalAddress(address: string): string {
  if (isIP(address) !== 6) return address
  const [withoutZone = ''] = address.split('%')
  // Bun's URL refuses some addresses that end in an IPv4 address, such as `::1:2:3:4:192.0.2.1`.
  const hexadecimal = withoutZone.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...parts) =>
    groupsOf(parts.slice(0, 4).map(Number)),
  )
  return unmapped(new URL(`http://[${hexadecimal}]`).hostname.slice(1, -1))
}

/**
 * Turns an IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2) into the IPv4 address. Other text is unchanged.
 * @param address as `URL` spells it, without brackets
 * @example unmapped('::ffff:a00:1') === '10.0.0.1'
 */
export function unmapped(address: string): string {
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(address) ?? []
  if (high === undefined || low === undefined) return address
  return [high, low]
    .map((group) => Number.parseInt(group, 16))
    .flatMap((group) => [group >> 8, group & 255])
    .join('.')
}

/** The four bytes of an IPv4 address as the last two groups of an IPv6 one. */
function groupsOf([a = 0, b = 0, c = 0, d = 0]: number[]): string {
  return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
}
