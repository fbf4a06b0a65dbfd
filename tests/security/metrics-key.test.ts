import { describe, expect, test } from 'bun:test'
import { createUser } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { running } from '../support/running.ts'
import { type Name, OPERATOR_KEY } from '../support/settings.ts'
import { inProcess, inProcessApart } from '../support/system.ts'
import { POLICY } from './policy.ts'

const KEYS = ['key-for-metrics-of-the-tests-0123456789ab', 'older-key-for-metrics-0123456789abcdefghij']
const settings = { METRICS_API_KEY: KEYS.join(', '), LOG_LEVEL: 'trace', RATE_LIMIT: 'off' }
const UNKNOWN = 'key-for-metrics-of-somebody-else-012345678'
const SERVICES: readonly Name[] = ['auth', 'users', 'modules', 'web']

/** The ways to send a key. */
const ways = (key: string) => [{ 'x-api-key': key }, as.bearer(key), { authorization: `bearer ${key}` }]

describe.each([
  ['in one process', inProcess],
  ['with a process for each service', inProcessApart],
] as const)('S5: the key for metrics, %s', (_, start) => {
  const here = running(start, settings)

  test.each(SERVICES)(
    'opens the metrics of %s, with each of its values, in the header and as a Bearer',
    async (name) => {
      for (const path of ['/metrics', '/api/v1/metrics'])
        for (const headers of KEYS.flatMap(ways)) {
          const { status, text } = await call(here.system.url[name], `GET ${path}`, { headers })
          expect([headers, status]).toEqual([headers, 200])
          expect(text).toContain('# TYPE ch202_http_request_duration_seconds histogram')
        }
      for (const headers of [as.operator, as.bearer(OPERATOR_KEY)])
        expect((await call(here.system.url[name], 'GET /metrics', { headers })).status).toBe(200)
    },
  )

  test.each(SERVICES)('no other key opens the metrics of %s', async (name) => {
    const wrong = [
      UNKNOWN,
      KEYS.join(', '),
      KEYS.join(','),
      `${KEYS[0]}x`,
      KEYS[0]?.slice(1) ?? '',
      KEYS[0]?.toUpperCase() ?? '',
    ]
    const sent: Record<string, string>[] = [
      ...wrong.flatMap(ways),
      {},
      as.internal,
      { cookie: `x-api-key=${KEYS[0]}` },
      as.bearer(''),
    ]
    for (const headers of sent) {
      const { status } = await call(here.system.url[name], 'GET /metrics', { headers })
      expect([headers, status]).toEqual([headers, headers === as.internal ? 403 : 401])
    }
    expect((await call(here.system.url[name], `GET /metrics?x-api-key=${KEYS[0]}`)).status).toBe(401)
  })

  test.each(POLICY.filter(({ call: name }) => !/ \/api\/v1\/metrics$/.test(name)))(
    'is as an unknown key to $call',
    async ({ call: name, statuses }) => {
      const [method = '', path = ''] = name.replace(/\{\w+\}/g, '0198c7a2-9c3d-7e10-8f21-7b6a5d4c3b2a').split(' ')
      const send = async (headers: Record<string, string>) => {
        const base = here.system.url[serviceOf(path)]
        const { body, status } = await call(base, `${method} ${path}`, { headers })
        return [status, body?.code]
      }
      for (const [at, headers] of ways(KEYS[0] ?? '').entries()) {
        const answer = await send(headers)
        expect([headers, answer]).toEqual([headers, await send(ways(UNKNOWN)[at] ?? {})])
        if (statuses['no one'] === 401) expect(answer[0]).toBe(401)
      }
    },
  )

  test('stands in no log line', async () => {
    const { tokens } = await createUser(here.system)
    for (const headers of [...ways(KEYS[0] ?? ''), ...ways(KEYS[1] ?? ''), as.bearer(tokens.access_token)])
      for (const path of ['/metrics', '/api/v1/users', '/nope', `/nope?key=x`])
        await call(here.system.url.users, `GET ${path}`, { headers })
    const output = here.system.output()
    expect(output).toContain('"route":"/metrics"')
    for (const key of KEYS) expect(output).not.toContain(key)
  })
})

/** The service that has a path: in one process all of them have the same address. */
function serviceOf(path: string): Name {
  const [, part = ''] = /^(?:\/api\/v1)?\/([\w.-]+)/.exec(path) ?? []
  if (/^users?$/.test(part)) return 'users'
  return part === 'modules' ? 'modules' : 'auth'
}
