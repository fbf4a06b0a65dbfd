import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { changesOf, newClient, storage } from '../tests/support/clients.ts'
import { running } from '../tests/support/running.ts'
import { lineage, type RefreshProxy, refreshProxy } from '../tests/support/servers/refresh-proxy.ts'
import { inProcess } from '../tests/support/system.ts'
import { type ClientOptions, createClient } from './index.ts'

const here = running(inProcess, { RATE_LIMIT: 'off' })
/** Repeated refreshes may be late here. */
const patient = running(inProcess, { RATE_LIMIT: 'off', REFRESH_REUSE_GRACE: '10m' })
let system = here
let proxy: RefreshProxy
beforeAll(async () => {
  proxy = await refreshProxy(() => system.system.url.auth)
})
beforeEach(() => {
  proxy.reset()
  system = here
})
afterAll(() => proxy?.stop())

const signedIn = (options: Partial<ClientOptions> = {}) => newClient({ url: proxy.url, ...options })

describe('a refresh', () => {
  test('whose answer never comes is repeated early enough', async () => {
    const { client } = await signedIn()
    const token = (await client.accessToken()) as string
    let holds = 1
    proxy.fate = (path) => (path.endsWith('/refresh') && holds-- > 0 ? new Promise(() => undefined) : 'pass')
    expect(await client.accessToken(token)).not.toBe(token)
    expect(lineage(proxy.refreshes)).toEqual({ tokens: 1, strays: [] })
  })

  test('without a connection fails, signs nobody out, and works again later', async () => {
    const ownStorage = storage()
    const { client } = await signedIn({ storage: ownStorage })
    const changes = changesOf(client)
    const token = (await client.accessToken()) as string
    proxy.fate = () => 'cut'
    expect(await client.accessToken()).toBe(token)
    expect(client.accessToken(token)).rejects.toMatchObject({ code: 'network_error' })
    expect(await client.signedIn()).toBe(true)
    proxy.reset()
    expect(await client.accessToken(token)).not.toBe(token)
    expect(changes).toEqual([])
  })

  test.each([
    [503, 'database_unavailable'],
    [502, undefined],
    [429, 'rate_limited'],
    [401, undefined],
  ])('refused with %d %p signs nobody out', async (status, code) => {
    let refusals = true
    const front = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      async fetch(request) {
        const { pathname } = new URL(request.url)
        if (refusals && pathname.endsWith('/refresh')) return Response.json(code ? { code } : {}, { status })
        return await fetch(here.system.url.auth + pathname, request)
      },
    })
    const { client } = await signedIn({ url: front.url.origin })
    const token = (await client.accessToken()) as string
    expect(client.accessToken(token)).rejects.toMatchObject({ status, code: code ?? 'unexpected_answer' })
    expect(await client.signedIn()).toBe(true)
    refusals = false
    expect(await client.accessToken(token)).not.toBe(token)
    front.stop(true)
  })

  test('that waits for a slow server is not repeated by every client again and again', async () => {
    system = patient
    const shared = storage()
    const { client } = await signedIn({ storage: shared })
    const others = Array.from({ length: 4 }, () => createClient({ url: proxy.url, storage: shared }))
    const token = (await client.accessToken()) as string
    let requests = 0
    const { promise, resolve } = Promise.withResolvers<'pass'>()
    proxy.fate = (path) => (path.endsWith('/refresh') && ++requests > 0 ? promise : 'pass')
    const refresh = client.accessToken(token)
    // Longer than a client waits for another one, twice. More time would only mean more requests.
    await Bun.sleep(9000)
    resolve('pass')
    expect(await refresh).not.toBe(token)
    // Two attempts of each client, three on a machine that is busy.
    expect(requests).toBeLessThanOrEqual(3 * (others.length + 1))
    expect(lineage(proxy.refreshes)).toEqual({ tokens: 1, strays: [] })
  })
})
