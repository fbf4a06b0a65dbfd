import { afterAll, expect, test } from 'bun:test'
import { Elysia } from 'elysia'
import { withState } from '../../services/kit/http/request-state.ts'
import { silentLog } from '../../services/kit/log.ts'
import { readConfig } from '../../services/kit/process/config.ts'
import { SERVICE_NAMES, SERVICES } from '../../services/registry.ts'
import { serve } from '../../services/serve.ts'
import { ownSettings, temporary } from '../support/tool.ts'

/**
 * Elysia reads the source of every hook and handler, and parses only the parts of a request that they use. If one passes
 * its whole context to a function, Elysia parses all of them, for every request: hot reads are then 20 % slower.
 */

const folder = temporary('hot-reads')
afterAll(() => folder.remove())

/** Statements of a compiled handler, each of which prepares a part of the request. */
const PARTS = { headers: /\bc\.headers=/, cookies: /\bparseCookie\(/, server: /\bgetServer\(/, body: /\bc\.body=/ }

function partsOf(route: object): string[] {
  const source = String((route as { compile(): unknown }).compile())
  return Object.entries(PARTS).flatMap(([part, statement]) => (statement.test(source) ? part : []))
}

/** Routes that need a part: the export lifts the server's idle timeout. */
const NEEDED: Record<string, string[]> = { 'GET /users/export': ['server'] }

test('no GET prepares a part of a request that it does not use', async () => {
  const umask = process.umask()
  const settings = ownSettings(folder.fresh(), {
    CH202_URL: 'http://127.0.0.1:0',
    CORS_ORIGINS: 'https://app.example.org',
  })
  const served = await serve(readConfig(settings, SERVICES), SERVICE_NAMES, { runtime: { log: () => silentLog } })
  process.umask(umask)
  try {
    const reads = served.apps.flatMap((app) => app.routes).filter(({ method }) => method === 'GET')
    const paths = reads.map(({ path }) => path)
    for (const hot of ['/auth/me', '/users/:user_id', '/modules']) expect(paths).toContain(`/api/v1${hot}`)
    for (const route of reads) {
      const name = `GET ${route.path.replace('/api/v1', '')}`
      expect([name, partsOf(route)]).toEqual([name, NEEDED[name] ?? []])
    }
  } finally {
    await served.stop()
  }
})

test('a hook or a handler that passes its context to a function is noticed', () => {
  const take = (context: object) => void context
  const everything = ['headers', 'cookies', 'server']
  const partsWith = (app: { routes: object[] }) => partsOf(app.routes[0] ?? {})
  const read = ({ params }: { params: { id: string } }) => params.id
  expect(partsWith(new Elysia().get('/:id', read))).toEqual([])
  expect(partsWith(new Elysia().get('/:id', (context) => take(context)))).toEqual(everything)
  const hooked = new Elysia().mapResponse((context) => take(context)).get('/:id', read)
  expect(partsWith(hooked)).toEqual(everything)
  const stateful = new Elysia().mapResponse(withState((context: object) => take(context))).get('/:id', read)
  expect(partsWith(stateful)).toEqual(everything)
})
