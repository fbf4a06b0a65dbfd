import { afterAll, afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { hostname } from 'node:os'
import { PROXY_VARIABLES, RecordingProxy } from '../../tests/support/servers/recording-proxy.ts'
import { callDirectly, callExternal, isOwnHost, proxyVariables } from './outgoing.ts'

const proxy = new RecordingProxy()
const target = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  async fetch(request) {
    if (request.url.endsWith('/elsewhere')) return Response.redirect('/', 302)
    return new Response(`${request.method} ${request.headers.get('x-api-key')} ${await request.text()}`)
  },
})
const url = `http://127.0.0.1:${target.port}/`
afterAll(async () => {
  proxy.close()
  await target.stop(true)
})

/** The variables that the tests set in the environment of this process, and restore. */
const names = [...PROXY_VARIABLES, 'NO_PROXY', 'no_proxy']
const before = names.map((name) => [name, process.env[name]] as const)
const clear = () => {
  for (const name of names) delete process.env[name]
}
beforeEach(clear)
afterEach(() => {
  clear()
  for (const [name, value] of before) if (value !== undefined) process.env[name] = value
  proxy.forget()
})

describe.each([...PROXY_VARIABLES.map((name) => [name]), PROXY_VARIABLES])('R1: with a proxy in %s', (...variables) => {
  beforeEach(() => {
    for (const name of variables) process.env[name] = proxy.url
  })

  test.each([
    ['an address', (init: RequestInit) => callDirectly(url, init)],
    ['a URL', (init: RequestInit) => callDirectly(new URL(url), init)],
    ['a request', (init: RequestInit) => callDirectly(new Request(url, init))],
    ['a request and more', ({ body = null, ...init }: RequestInit) => callDirectly(new Request(url, init), { body })],
  ])('a direct call of %s bypasses the proxy and arrives unchanged', async (_, call) => {
    const answer = await call({ method: 'POST', headers: { 'x-api-key': 'the-internal-key' }, body: 'the password' })
    expect(await answer.text()).toBe('POST the-internal-key the password')
    expect(proxy.received).toEqual([])
  })

  test('an external call uses it, except to this machine or a host of the settings', async () => {
    const init = { method: 'POST', body: 'an event' }
    const [loopback, listed, other] = [url, 'http://auth.example:1/', 'http://hooks.example/hook']
    expect((await callExternal(loopback, [], init)).status).toBe(200)
    await callExternal(listed, ['auth.example'], init).catch(() => undefined)
    expect(proxy.received).toEqual([])
    // Only a proxy can answer for these addresses, and only one that is set for their scheme.
    const forHttp = variables.some((name) => !/^https/i.test(name))
    await callExternal(other, ['auth.example'], init).catch(() => undefined)
    await callExternal(other.replace('http:', 'https:'), ['auth.example'], init).catch(() => undefined)
    const tunnel = variables.some((name) => !/^http_/i.test(name)) ? ['CONNECT hooks.example:443'] : []
    expect(proxy.requests).toEqual([...(forHttp ? [`POST ${other}`] : []), ...tunnel])
  })
})

test('R1: redirects and signals work as without a proxy', async () => {
  const redirect = callDirectly(new Request(`${url}elsewhere`, { redirect: 'error' }))
  expect(redirect).rejects.toThrow('UnexpectedRedirect')
  expect((await callDirectly(`${url}elsewhere`, { redirect: 'manual' })).status).toBe(302)
  expect(callDirectly(new Request(url, { signal: AbortSignal.abort(new Error('enough')) }))).rejects.toThrow('enough')
})

describe('R1: this machine and the hosts of the settings', () => {
  const inside = [
    '127.0.0.1',
    '127.1.2.3',
    '127.1',
    '0x7f.1',
    '2130706433',
    '0.0.0.0',
    '[::1]',
    '[::]',
    '[0:0:0:0:0:0:0:1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f01:203]',
    '[::ffff:0.0.0.0]',
    'localhost',
    'LocalHost',
    'localhost.',
    'auth.localhost',
    'localhost.localdomain',
    'ip6-localhost',
    hostname(),
    'someone:password@localhost',
    'auth.example',
    'AUTH.example.',
    '10.0.0.2',
    '[::ffff:10.0.0.2]',
  ]
  const outsiders = [
    '128.0.0.1',
    '10.0.0.1',
    '[::2]',
    '[::ffff:10.0.0.1]',
    'localhost.example',
    'notlocalhost',
    '127.0.0.1.example',
    'hooks.auth.example',
    'localhost@hooks.example',
    '127.0.0.1:80@hooks.example',
  ]
  const hosts = ['auth.example', '10.0.0.2']
  test.each(inside)('%s is one of them', (host) => {
    expect(isOwnHost(`http://${host}/hook`, hosts)).toBe(true)
    expect(isOwnHost(`https://${host}:8443/?to=http://hooks.example`, hosts)).toBe(true)
  })
  test.each(outsiders)('%s is not one of them', (host) => {
    expect(isOwnHost(`http://${host}/hook`, hosts)).toBe(false)
    expect(isOwnHost(`https://${host}/?to=http://localhost`, hosts)).toBe(false)
  })
})

test('R1: the names of the variables that are set', () => {
  const env = { HTTP_PROXY: 'http://u:p@proxy', all_proxy: 'socks5://proxy', https_proxy: ' ', NO_PROXY: '*' }
  expect(proxyVariables(env)).toEqual(['HTTP_PROXY', 'all_proxy'])
  expect(proxyVariables({})).toEqual([])
})
