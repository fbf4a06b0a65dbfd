import { BlockList, isIP } from 'node:net'

/**
 * IPv4 addresses that are no public hosts: IANA's registry of special purposes (RFC 6890), multicast and reserved ones.
 * https://www.iana.org/assignments/iana-ipv4-special-registry
 */
const SPECIAL_IPV4: [network: string, prefix: number][] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.31.196.0', 24],
  ['192.52.193.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['192.175.48.0', 24],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
]

/**
 * The network of all public IPv6 hosts (RFC 4291, 2.4), and the special ones in it. Loopback, link-local and unique-local
 * addresses, multicast, and addresses that embed an IPv4 address (mapped, compatible, NAT64) are outside of it.
 * https://www.iana.org/assignments/iana-ipv6-special-registry
 */
const GLOBAL_UNICAST: [network: string, prefix: number] = ['2000::', 3]
const SPECIAL_IPV6: [network: string, prefix: number][] = [
  // Among others Teredo, which embeds IPv4 addresses, and benchmarking.
  ['2001::', 23],
  ['2001:db8::', 32],
  // 6to4, which embeds IPv4 addresses.
  ['2002::', 16],
  ['2620:4f:8000::', 48],
  ['3fff::', 20],
]

const special = new BlockList()
for (const [network, prefix] of SPECIAL_IPV4) special.addSubnet(network, prefix, 'ipv4')
for (const [network, prefix] of SPECIAL_IPV6) special.addSubnet(network, prefix, 'ipv6')
const globalUnicast = new BlockList()
globalUnicast.addSubnet(...GLOBAL_UNICAST, 'ipv6')

/**
 * Whether an IP address is one of a host on the public Internet, and not of this machine, its network, or another special
 * one. An address with a zone, and text that is no address, are not.
 * @example isPublicAddress('192.168.0.1') === false
 */
export function isPublicAddress(address: string): boolean {
  if (address.includes('%')) return false
  const family = isIP(address)
  if (family === 4) return !special.check(address, 'ipv4')
  return family === 6 && globalUnicast.check(address, 'ipv6') && !special.check(address, 'ipv6')
}
