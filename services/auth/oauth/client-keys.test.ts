import { beforeEach, describe, expect, test } from 'bun:test'
import { type ClientKey, newClientKey } from '../../../tests/support/oauth/clients.ts'
import { type KeyServer, keyServers } from '../../../tests/support/servers/key-servers.ts'
import { SECOND } from '../../kit/clock.ts'
import type { Client } from '../store/index.ts'
import { ClientKeys } from './client-keys.ts'

describe('16: the keys of a client', () => {
  const servers = keyServers()
  let now = 0
  let [first, second] = [] as unknown as [ClientKey, ClientKey]
  let server: KeyServer
  let keys: ClientKeys
  beforeEach(async () => {
    ;[first, second] = [await newClientKey(), await newClientKey()]
    server = servers(first)
    keys = new ClientKeys({ monotonic: () => now }, { privateHosts: ['127.0.0.1'] })
  })

  const has = async ({ alg, kid }: ClientKey) =>
    (await keys.key({ id: 'a', jwksUri: server.url } as Client, { alg, kid })) !== undefined
  const pass = (seconds: number) => {
    now += seconds * SECOND
  }

  test('a key that the client rotates is found by another request, but not more often than every 10 seconds', async () => {
    expect([await has(first), server.requests]).toEqual([true, 1])
    server.keys = [second.jwk]
    pass(9.9)
    expect([await has(second), await has(first), server.requests]).toEqual([false, true, 1])
    pass(0.2)
    expect([await has(second), await has(first), server.requests]).toEqual([true, false, 2])
    // Unknown keys do not ask again before the pause is over.
    for (let n = 0; n < 5; n++) expect(await has(first)).toBe(false)
    expect(server.requests).toBe(2)
    pass(10.1)
    expect([await has(first), server.requests]).toEqual([false, 3])
  })

  test('a removed key is refused after 5 minutes at the latest', async () => {
    expect(await has(first)).toBe(true)
    server.keys = [second.jwk]
    pass(299)
    expect([await has(first), server.requests]).toEqual([true, 1])
    pass(2)
    expect([await has(first), server.requests]).toEqual([false, 2])
  })

  test('keys that were fetched stay while the client does not answer, but not beyond 5 minutes', async () => {
    expect(await has(first)).toBe(true)
    server.answers = () => new Response('busy', { status: 503 })
    pass(20)
    expect([await has(second), await has(first), server.requests]).toEqual([false, true, 2])
    pass(270)
    expect([await has(second), await has(first), server.requests]).toEqual([false, true, 3])
    pass(11)
    expect([await has(first), server.requests]).toEqual([false, 4])
    server.answers = undefined
    pass(5)
    expect([await has(first), server.requests]).toEqual([false, 4])
    pass(6)
    expect([await has(first), server.requests]).toEqual([true, 5])
  })

  test('requests at the same time share one request for the keys', async () => {
    expect(await Promise.all(Array.from({ length: 50 }, () => has(first)))).toEqual(Array(50).fill(true))
    expect(server.requests).toBe(1)
  })
})
