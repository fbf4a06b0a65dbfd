import { describe, expect, test } from 'bun:test'
import { ClientAddress, limitKey } from './client-address.ts'

describe('the client address of a request', () => {
  const PROXIES = ['10.0.0.0/8', '192.0.2.7', '2001:db8:ff::/48', '::1']
  const rows: [
    what: string,
    trusted: string[],
    peer: string | null,
    forwarded: string | null,
    client: string | null,
  ][] = [
    ['no connection', PROXIES, null, '203.0.113.5', null],
    ['no header', PROXIES, '10.0.0.1', null, '10.0.0.1'],
    ['no proxy is trusted', [], '10.0.0.1', '203.0.113.5', '10.0.0.1'],
    ['a client that is not a proxy', PROXIES, '198.51.100.1', '203.0.113.5', '198.51.100.1'],
    ['one proxy', PROXIES, '10.0.0.1', '203.0.113.5', '203.0.113.5'],
    [
      'an address that the client claims, before the one that the proxy saw',
      PROXIES,
      '10.0.0.1',
      '1.1.1.1, 203.0.113.5',
      '203.0.113.5',
    ],
    ['a claim to be a proxy', PROXIES, '10.0.0.1', '10.9.9.9, 203.0.113.5', '203.0.113.5'],
    ['two proxies', PROXIES, '10.0.0.1', '203.0.113.5, 192.0.2.7', '203.0.113.5'],
    ['only proxies', PROXIES, '10.0.0.1', '10.0.0.3,10.0.0.2', '10.0.0.3'],
    ['no address', PROXIES, '10.0.0.1', 'unknown', '10.0.0.1'],
    ['no address before a proxy', PROXIES, '10.0.0.1', '203.0.113.5, unknown, 192.0.2.7', '192.0.2.7'],
    ['an empty header', PROXIES, '10.0.0.1', '', '10.0.0.1'],
    ['R27: an empty element at the end', PROXIES, '10.0.0.1', '203.0.113.5,', '203.0.113.5'],
    ['R27: empty elements at the end', PROXIES, '10.0.0.1', '203.0.113.5, ,\t,', '203.0.113.5'],
    ['R27: an empty element at the beginning', PROXIES, '10.0.0.1', ', 203.0.113.5', '203.0.113.5'],
    ['R27: empty elements between', PROXIES, '10.0.0.1', '1.1.1.1,,203.0.113.5,, 192.0.2.7,', '203.0.113.5'],
    ['R27: nothing but empty elements', PROXIES, '10.0.0.1', ' ,, ,', '10.0.0.1'],
    ['R27: a port and an empty element', PROXIES, '10.0.0.1', '[2001:db8::5]:4711,', '2001:db8::5'],
    ['an address that only begins like a trusted one', PROXIES, '192.0.2.70', '203.0.113.5', '192.0.2.70'],
    ['IPv6', PROXIES, '2001:db8:ff::1', '2001:db8::5', '2001:db8::5'],
    ['IPv6 loopback', PROXIES, '::1', '203.0.113.5', '203.0.113.5'],
    ['IPv4 in IPv6', PROXIES, '::ffff:10.0.0.1', '::FFFF:203.0.113.5', '203.0.113.5'],
    ['a trusted proxy in another spelling', PROXIES, '::ffff:a00:1', '203.0.113.5', '203.0.113.5'],
    ['a port', PROXIES, '10.0.0.1', '203.0.113.5:4711', '203.0.113.5'],
    ['a port after IPv6', PROXIES, '10.0.0.1', '[2001:DB8::5]:4711', '2001:db8::5'],
    ['brackets', PROXIES, '10.0.0.1', '[2001:db8::5]', '2001:db8::5'],
    ['a port after a proxy', PROXIES, '10.0.0.1', '203.0.113.5:1, 10.0.0.2:65535', '203.0.113.5'],
    ['text that only looks like a port', PROXIES, '10.0.0.1', '203.0.113.5:x', '10.0.0.1'],
    ['IPv4 in brackets, followed by text that is not a port', PROXIES, '10.0.0.1', '[203.0.113.5]x', '10.0.0.1'],
    ['IPv4 in IPv6 with a zone', PROXIES, '10.0.0.1', '::ffff:203.0.113.5%eth0', '203.0.113.5'],
    ['IPv6 in another spelling', [], '2001:DB8:0:0::05', null, '2001:db8::5'],
    ['a zone is not part of the address', [], `fe80::1%${'e'.repeat(100)}`, null, 'fe80::1'],
    ['IPv4 in IPv6, not trusted', [], '::ffff:203.0.113.5', null, '203.0.113.5'],
  ]
  test.each(rows)('%s', (_, trusted, peer, forwarded, client) => {
    expect(new ClientAddress(trusted).of(peer, () => forwarded)).toBe(client)
  })
})

describe('the key that rate limits use for an address', () => {
  test.each([
    ['203.0.113.5', '203.0.113.5'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::6', '2001:db8:1:2::/64'],
    ['2001:DB8:0001:0002::', '2001:db8:1:2::/64'],
    ['2001:db8:1:3::6', '2001:db8:1:3::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['1::', '1:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['1:2:3::10.0.0.1', '1:2:3:0::/64'],
    ['1::2:3:4:5:10.0.0.1', '1:0:2:3::/64'],
    ['::1:2:3:4:192.0.2.1', '0:0:1:2::/64'],
    ['an account', 'an account'],
  ])('%s: %s', (address, key) => {
    expect(limitKey(address)).toBe(key)
  })

  test('every spelling of IPv4 in IPv6 is the IPv4 address', () => {
    const client = new ClientAddress([])
    for (const spelling of ['::ffff:203.0.113.5', '::FFFF:cb00:7105', '0:0:0:0:0:ffff:203.0.113.5']) {
      expect(limitKey(spelling)).toBe('203.0.113.5')
      expect(limitKey(client.of(spelling, () => null) ?? '')).toBe('203.0.113.5')
    }
  })
})
