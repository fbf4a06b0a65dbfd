import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { registerUser } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { credentialFor, distinctRoutes, samplePath, servedRoutes } from '../support/routes.ts'
import { sendChunked } from '../support/sockets.ts'
import { inProcess, type System } from '../support/system.ts'

const JSON_TYPE = { 'content-type': 'application/json' }
const withBody = distinctRoutes(await servedRoutes()).filter(({ body }) => body)

let system: System
let bearer: Record<string, string>
beforeAll(async () => {
  system = await inProcess({ RATE_LIMIT: 'off' })
  bearer = as.bearer((await registerUser(system)).tokens.access_token)
})
afterAll(async () => {
  await system?.stop()
})

describe('check 25: a body of 65 KB', () => {
  const large = JSON.stringify({ x: 'x'.repeat(65 * 1024) })

  test('is 413 at every route, plain and chunked', async () => {
    expect(withBody.length).toBeGreaterThan(30)
    const pieces = large.match(/.{1,8192}/gs) ?? []
    for (const { service, method, path } of withBody) {
      const headers = { ...JSON_TYPE, ...credentialFor({ path }, bearer) }
      const plain = await call(system.url[service], `${method} ${samplePath(path)}`, { headers, body: large })
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
      const chunked = await sendChunked(system.url[service], `${method} ${samplePath(path)} HTTP/1.1`, lines, pieces)
      for (const { body, status } of [plain, chunked])
        expect([path, status, body.code]).toEqual([path, 413, 'body_too_large'])
    }
  })
})

describe('check 25: JSON 20,000 deep', () => {
  const nestings = [
    ['lists', '['.repeat(20_000) + ']'.repeat(20_000)],
    ['lists in a field', `{"login":"a","password":${'['.repeat(20_000)}${']'.repeat(20_000)}}`],
    ['objects that do not end', '{"":'.repeat(16_000)],
    ['after a text of brackets', `{"a":"${'[{'.repeat(8000)}","b":${'['.repeat(20_000)}`],
  ] as const

  test.each(nestings)('as %s is 400 without more work than for a flat body, at each service', async (_, body) => {
    for (const [service, path] of [
      ['auth', '/auth/login'],
      ['users', '/users'],
      ['modules', '/modules'],
    ] as const) {
      const best = async (sent: string, code: string) => {
        const tries: number[] = []
        for (let round = 0; round < 5; round++) {
          const before = process.cpuUsage()
          const headers = { ...JSON_TYPE, ...as.operator }
          const answer = await call(system.url[service], `POST ${path}`, { headers, body: sent })
          tries.push(process.cpuUsage(before).user / 1000)
          expect([service, answer.status, answer.body.code]).toEqual([service, 400, code])
        }
        return Math.min(...tries)
      }
      const deep = await best(body, 'malformed_json')
      const flat = await best(JSON.stringify({ x: 'x'.repeat(body.length - 8) }), 'validation_failed')
      // CPU milliseconds of this process, which runs the services too.
      expect(deep).toBeLessThan(Math.max(50, 5 * flat))
    }
  })
})
