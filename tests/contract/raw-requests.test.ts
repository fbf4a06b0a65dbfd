import { beforeAll, describe, expect, test } from 'bun:test'
import { SERVICE_NAMES } from '../../services/registry.ts'
import { createUser, type TestUser } from '../support/actors.ts'
import { awaitReadiness } from '../support/http.ts'
import { running } from '../support/running.ts'
import { OPERATOR_KEY } from '../support/settings.ts'
import { type RawAnswer, request } from '../support/sockets.ts'
import { inProcess } from '../support/system.ts'

/** Request lines with their target, and the headers that name the host, or don't. */
interface Head {
  line: (target: string) => string
  headers: string[]
}

const HEADS = (
  [
    ['HTTP/1.0 without Host', (target) => `GET ${target} HTTP/1.0`, []],
    ['HTTP/1.0 with a Host', (target) => `GET ${target} HTTP/1.0`, ['Host: id.example.org']],
    ['an empty Host', (target) => `GET ${target} HTTP/1.1`, ['Host:']],
    ['a blank Host', (target) => `GET ${target} HTTP/1.1`, ['Host:   ']],
    ['a Host of two words', (target) => `GET ${target} HTTP/1.1`, ['Host: id example']],
    ['a Host with a path', (target) => `GET ${target} HTTP/1.1`, ['Host: id.example.org/users']],
    ['a Host with a query', (target) => `GET ${target} HTTP/1.1`, ['Host: id.example.org?/users']],
    ['a Host with a user', (target) => `GET ${target} HTTP/1.1`, ['Host: ana@id.example.org']],
    ['a Host outside ASCII', (target) => `GET ${target} HTTP/1.1`, ['Host: \xd0\xbf.example']],
    ['a Host of a port alone', (target) => `GET ${target} HTTP/1.1`, ['Host: :3000']],
    ['a Host with a port too large', (target) => `GET ${target} HTTP/1.1`, ['Host: id.example.org:99999']],
    ['a Host with a port of letters', (target) => `GET ${target} HTTP/1.1`, ['Host: id.example.org:http']],
    ['a Host with half a bracket', (target) => `GET ${target} HTTP/1.1`, ['Host: [::1']],
    ['an IPv6 Host', (target) => `GET ${target} HTTP/1.1`, ['Host: [::1]:3000']],
    ['a Host of one letter', (target) => `GET ${target} HTTP/1.1`, ['Host: x']],
    ['an absolute target', (target) => `GET http://id.example.org${target} HTTP/1.1`, ['Host: id.example.org']],
    ['an absolute target in upper case', (target) => `GET HTTP://ID.EXAMPLE.ORG${target} HTTP/1.1`, ['Host: x']],
    ['an absolute target of https', (target) => `GET https://id.example.org${target} HTTP/1.1`, ['Host: x']],
    ['an absolute target and no Host', (target) => `GET http://id.example.org${target} HTTP/1.0`, []],
    ['an absolute target and an empty Host', (target) => `GET http://id.example.org${target} HTTP/1.1`, ['Host:']],
  ] satisfies [string, Head['line'], Head['headers']][]
).map(([name, line, headers]) => ({ name, head: { line, headers } }))

describe('R12: for any Host of a request', () => {
  const here = running(inProcess, { CORS_ORIGINS: 'https://app.example.org' })
  const key = `X-API-Key: ${OPERATOR_KEY}`
  let user: TestUser

  const ask = (
    name: (typeof SERVICE_NAMES)[number],
    { line, headers: host }: Head,
    target: string,
    headers: string[] = [],
  ) => request(here.system.url[name], line(target), [...host, ...headers])

  beforeAll(async () => {
    user = await createUser(here.system)
    await awaitReadiness(here.system)
  })

  test.each(HEADS)('$name: every path is found, with its query', async ({ head }) => {
    const paths = [
      '/health',
      '/health/db',
      '/health/db/',
      '/health/db?x=1',
      '/health/ready',
      '/api/v1/health/db',
      '/swagger/json',
    ]
    const answers = await Promise.all(
      SERVICE_NAMES.flatMap((name) =>
        paths.map(async (path) => ({ name, path, status: (await ask(name, head, path)).status })),
      ),
    )
    // A service whose database is slow, as on a busy machine, is not ready: its path is found all the same.
    const isFound = ({ path, status }: (typeof answers)[number]) =>
      status === 200 || (path === '/health/ready' && status === 503)
    expect(answers.filter((answer) => !isFound(answer))).toEqual([])

    const listed = await ask('users', head, `/api/v1/users?search=${user.email}&size=1`, [key])
    expect(listed.body).toMatchObject({ items: [{ id: user.id }], total: 1, size: 1 })
    const mine = await ask('auth', head, '/auth/me', [`Authorization: Bearer ${user.tokens.access_token}`])
    expect(mine.body).toMatchObject({ email: user.email })
  })

  test.each(HEADS)('$name: invalid requests are refused as usual', async ({ head }) => {
    const refused = (answer: RawAnswer, status: number, code: string) => {
      expect([answer.status, answer.body.code]).toEqual([status, code])
      expect(answer.headers.get('x-request-id')).toBe(answer.body.requestId)
    }
    refused(await ask('auth', head, '/health/nothing'), 404, 'not_found')
    refused(await ask('auth', head, '/admin/keys'), 401, 'missing_token')
    refused(await ask('users', head, '/users/password-hashes', [key]), 403, 'forbidden')
    const post: Head = { ...head, line: (target) => head.line(target).replace('GET', 'POST') }
    const answer = await ask('modules', post, '/health/db', ['Content-Length: 0'])
    refused(answer, 405, 'method_not_allowed')
    expect(answer.headers.get('allow')).toBe('GET, HEAD')
  })

  test.each(HEADS)('$name: pages of other origins read only the answers that are meant for them', async ({ head }) => {
    const origin = 'Origin: https://app.example.org'
    const open = await ask('auth', head, '/health/db', [origin])
    expect(open.headers.get('access-control-allow-origin')).toBe('https://app.example.org')
    const closed = await ask('auth', head, '/admin/keys', [origin, key])
    expect([closed.status, closed.headers.get('access-control-allow-origin')]).toEqual([200, undefined])
  })

  test.each([
    // A path of ours inside a query, or inside another path, is not matched.
    ['/nothing?at=http://id.example.org/admin/keys', 404],
    ['/http://id.example.org/admin/keys', 404],
    ['//admin/keys', 404],
    ['//id.example.org/admin/keys', 404],
    ['/admin//keys', 404],
    ['/health?/../admin/keys', 200],
    ['/health#/admin/keys', 404],
    ['/%61dmin/keys', 404],
    ['/../admin/keys', 200],
    ['/health/../admin/keys', 200],
    ['/\\admin/keys', 404],
  ])('HTTP/1.0 without Host: %s is routed as with a Host', async (target, status) => {
    const without = await request(here.system.url.auth, `GET ${target} HTTP/1.0`, [key])
    const beside = await request(here.system.url.auth, `GET ${target} HTTP/1.1`, ['Host: localhost', key])
    expect([without.status, beside.status]).toEqual([status, status])
    if (status === 404) expect(without.body.code).toBe(beside.body.code)
    const keyless = await request(here.system.url.auth, `GET ${target} HTTP/1.0`, [])
    expect(keyless.status).toBe(target.startsWith('/health?') ? 200 : status === 200 ? 401 : 404)
  })
})
