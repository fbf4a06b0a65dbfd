import { describe, expect, test } from 'bun:test'
import { Elysia, t } from 'elysia'
import type { Caller } from '../services/kit/caller.ts'
import { elysiaGuard, refuseUnguarded } from './elysia.ts'
import type { CheckOptions, Guard } from './types.ts'

/**
 * A guard that admits one name, and only with the module `billing` or without a module. The caller authenticated 100 seconds
 * ago. It records the rules.
 */
function guardFor(name: string) {
  const rules: Omit<CheckOptions, 'address'>[] = []
  const guard: Guard = {
    ready: async () => true,
    close: async () => undefined,
    require: () => async () => undefined,
    async check(request, { address: _, ...rule }) {
      // Asynchronous, because a hook that is not awaited would let the request pass.
      await Bun.sleep(1)
      rules.push(rule)
      if (request.headers.get('authorization') !== name) return { response: new Response('who?', { status: 401 }) }
      if (![undefined, 'billing'].includes(rule.module)) return { response: new Response('no', { status: 403 }) }
      if ((rule.maxAge ?? 100) < 100) return { response: new Response('again', { status: 401 }) }
      return { caller: { userId: name } as Caller }
    },
  }
  return { guard, rules }
}

const hello = ({ caller }: { caller: Caller }) => `hello ${caller.userId}`
const ask = async (app: { handle(request: Request): Promise<Response> }, path: string, who = '', body?: string) => {
  const headers = { authorization: who, 'content-type': 'application/json' }
  const init = body === undefined ? { headers } : { method: 'POST', headers, body }
  const response = await app.handle(new Request(`http://localhost${path}`, init))
  return [response.status, await response.text()]
}

test('trap 18: a caller without access is refused before the body is read and validated', async () => {
  const decoded: unknown[] = []
  const secret = t
    .Transform(t.String())
    .Decode((value) => {
      decoded.push(value)
      return value
    })
    .Encode(String)
  const { guard, rules } = guardFor('ana')
  const app = new Elysia().use(elysiaGuard(guard)).post('/', hello, { auth: 'user', body: t.Object({ secret }) })
  for (const body of ['{', '{}', '{"secret":"x"}', '[1]'])
    expect(await ask(app, '/', 'ben', body)).toEqual([401, 'who?'])
  expect(decoded).toEqual([])
  expect((await ask(app, '/', 'ana', '{'))[0]).toBe(400)
  expect((await ask(app, '/', 'ana', '{}'))[0]).toBe(422)
  expect(await ask(app, '/', 'ana', '{"secret":"x"}')).toEqual([200, 'hello ana'])
  expect(decoded).toEqual(['x'])
  // Once per request, although two hooks run: one before the body is read, one before it is validated.
  expect(rules).toHaveLength(7)
})

const CONFIGS: [name: string, config: ConstructorParameters<typeof Elysia>[0]][] = [
  ['compiled', {}],
  ['not compiled', { aot: false }],
]
test.each(CONFIGS)('every kind of route is guarded, %s', async (_, config) => {
  const user = { auth: 'user' } as const
  const app = new Elysia(config)
    .use(elysiaGuard(guardFor('ana').guard))
    .get('/text', 'a text', user)
    .get('/answer', new Response('an answer'), user)
    .get(
      '/stream',
      function* () {
        yield 'a stream'
      },
      user,
    )
    .all('/all', () => 'all', user)
    .group('/group', user, (of) => of.get('/in', () => 'in'))
    .guard(user, (of) => of.get('/guarded', () => 'guarded'))
    .get('/upgrade', () => 'no socket', user)
    .ws('/upgrade', { ...user, message: (socket) => void socket.close() })
    .listen(0)
  try {
    const upgrade = { upgrade: 'websocket', connection: 'Upgrade', 'sec-websocket-version': '13' }
    const headers = { ...upgrade, 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' }
    const paths = app.routes.map(({ path }) => path).filter((path) => path !== '/upgrade')
    expect(paths.toSorted()).toEqual(['/all', '/answer', '/group/in', '/guarded', '/stream', '/text'])
    const base = `http://127.0.0.1:${app.server?.port}`
    for (const path of paths) {
      expect([path, (await fetch(base + path)).status]).toEqual([path, 401])
      expect([path, (await fetch(base + path, { headers: { authorization: 'ana' } })).status]).toEqual([path, 200])
    }
    expect((await fetch(`${base}/upgrade`, { headers })).status).toBe(401)
  } finally {
    await app.stop(true)
  }
})

test('auth and module are checked together, in whichever order the route names them', async () => {
  const { guard, rules } = guardFor('ana')
  const app = new Elysia()
    .use(elysiaGuard(guard))
    .get('/a', hello, { auth: ['user', 'operator'], module: 'billing' })
    .get('/b', hello, { module: 'shop', auth: ['user', 'operator'] })
    .post('/c', hello, { module: 'shop', auth: 'user', body: t.Object({ item: t.String() }) })
    .post('/d', hello, { auth: 'user', module: 'shop', body: t.Object({ item: t.String() }) })
  expect(await ask(app, '/a', 'ana')).toEqual([200, 'hello ana'])
  expect(rules.at(-1)).toEqual({ auth: ['user', 'operator'], module: 'billing', maxAge: undefined })
  expect(await ask(app, '/a', 'ben')).toEqual([401, 'who?'])
  expect(await ask(app, '/b', 'ana')).toEqual([403, 'no'])
  for (const path of ['/c', '/d'])
    for (const body of ['{', '{}', '{"item":"tea"}']) expect(await ask(app, path, 'ana', body)).toEqual([403, 'no'])
})

describe('contract 11: maxAge is checked with the other parts of the rule, in whichever order the route names them', () => {
  const [auth, body] = [['user', 'operator'] as const, t.Object({ item: t.String() })]
  const orders: [order: string, rule: (maxAge: number) => { auth: typeof auth; maxAge: number; module: string }][] = [
    ['auth module maxAge', (maxAge) => ({ auth, module: 'billing', maxAge })],
    ['auth maxAge module', (maxAge) => ({ auth, maxAge, module: 'billing' })],
    ['module auth maxAge', (maxAge) => ({ module: 'billing', auth, maxAge })],
    ['module maxAge auth', (maxAge) => ({ module: 'billing', maxAge, auth })],
    ['maxAge auth module', (maxAge) => ({ maxAge, auth, module: 'billing' })],
    ['maxAge module auth', (maxAge) => ({ maxAge, module: 'billing', auth })],
  ]
  test.each(orders)('%s', async (_, rule) => {
    const { guard, rules } = guardFor('ana')
    const app = new Elysia()
      .use(elysiaGuard(guard))
      .get('/old', hello, rule(99))
      .get('/recent', hello, rule(100))
      .post('/old', hello, { ...rule(99), body })
      .post('/recent', hello, { ...rule(100), body })
    expect(await ask(app, '/old', 'ana')).toEqual([401, 'again'])
    expect(await ask(app, '/old', 'ben')).toEqual([401, 'who?'])
    expect(await ask(app, '/recent', 'ana')).toEqual([200, 'hello ana'])
    expect(rules.at(-1)).toEqual({ auth, module: 'billing', maxAge: 100 })
    for (const sent of ['{', '{}', '{"item":"tea"}'])
      expect(await ask(app, '/old', 'ana', sent)).toEqual([401, 'again'])
    expect(await ask(app, '/recent', 'ana', '{"item":"tea"}')).toEqual([200, 'hello ana'])
  })

  test('a route that names it without auth is refused', async () => {
    const { guard } = guardFor('ana')
    const app = new Elysia().use(elysiaGuard(guard)).get('/half', () => 'half', { maxAge: 600 })
    expect(() => refuseUnguarded(app)).toThrow('GET /half')
    expect((await ask(app, '/half', 'ana'))[0]).toBe(500)
  })

  test.each([0, -1, Number.NaN, '600'])('an invalid age (%p) throws where it is written', (maxAge) => {
    const app = new Elysia().use(elysiaGuard(guardFor('ana').guard))
    expect(() => app.get('/', hello, { auth: 'user', maxAge: maxAge as number })).toThrow(TypeError)
  })
})

test('16: an app does not listen if a route names a module or an age beside a scope alone', async () => {
  for (const rule of [{ module: 'billing' }, { maxAge: 600 }]) {
    const app = new Elysia()
      .use(elysiaGuard(guardFor('ana').guard))
      .get('/half', () => 'half', { scope: 'stock:read', ...rule })
      .get('/whole', () => 'whole', { scope: 'stock:read', auth: 'user', ...rule })
    expect(() => refuseUnguarded(app)).toThrow(/call GET \/half: name auth/)
    expect(() => app.listen(0)).toThrow('GET /half')
    await app.stop(true).catch(() => undefined)
  }
})

test('each of two plugins keeps its own guard, and a route uses the last one before it', async () => {
  const app = new Elysia()
    .use(elysiaGuard(guardFor('ana').guard))
    .get('/a', hello, { auth: 'user' })
    .use(elysiaGuard(guardFor('ben').guard))
    .get('/b', hello, { auth: 'user' })
  expect(await Promise.all(['/a', '/b'].map((path) => ask(app, path, 'ben')))).toEqual([
    [401, 'who?'],
    [200, 'hello ben'],
  ])
})

test('a refusal stays one when the app has an error handler of its own', async () => {
  const app = new Elysia()
    .onError(() => undefined)
    .use(elysiaGuard(guardFor('ana').guard))
    .get('/', hello, { auth: 'user' })
  expect(await ask(app, '/', 'ben')).toEqual([401, 'who?'])
})

test('trap 3: an app does not listen if one of its routes names auth without a guard', async () => {
  const { guard } = guardFor('ana')
  // The compiler would refuse this, because the app does not use the plugin.
  const options = { auth: 'user' } as object
  const open = () => new Elysia().get('/open', () => 'open', options)
  const before = new Elysia().use(open()).use(elysiaGuard(guard))
  expect(await ask(before, '/open')).toEqual([200, 'open'])
  expect(() => refuseUnguarded(before)).toThrow('GET /open')
  expect(() => before.listen(0)).toThrow('GET /open')
  await before.stop(true).catch(() => undefined)

  const alone = new Elysia().use(elysiaGuard(guard)).get('/half', () => 'half', { module: 'billing' })
  expect(() => refuseUnguarded(alone)).toThrow('GET /half')
  expect((await ask(alone, '/half', 'ana'))[0]).toBe(500)

  const after = new Elysia()
    .use(elysiaGuard(guard))
    .use(open())
    .get('/public', () => 'public')
  refuseUnguarded(after)
  expect(await ask(after, '/open')).toEqual([401, 'who?'])
})
