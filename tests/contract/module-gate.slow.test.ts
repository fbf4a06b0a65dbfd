import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { Elysia, t } from 'elysia'
import { type ModuleFeedSource, ModuleGates, type ModulePage } from '../../services/kit/access/module-gate.ts'
import type { Caller } from '../../services/kit/caller.ts'
import { ClientAddress } from '../../services/kit/client-address.ts'
import { systemClock } from '../../services/kit/clock.ts'
import { documentedPaths } from '../../services/kit/http/app.ts'
import { guard } from '../../services/kit/http/guard.ts'
import { openApiDocument } from '../../services/kit/http/openapi/document.ts'
import { silentLog } from '../../services/kit/log.ts'
import { type Between, startProxy } from '../faults/proxy.ts'
import { createUser, logIn, registerUser, type TestUser } from '../support/actors.ts'
import { eventually, PROMPT } from '../support/eventually.ts'
import { as, call, type Options } from '../support/http.ts'
import { changeRows } from '../support/postgres/database-rows.ts'
import { inProcessApart, inThisProcess, type System } from '../support/system.ts'
import { type GatedService, startGatedService } from './gated-service.ts'

/** How often a module is enabled and disabled; `ROUNDS=2000` tests for longer. */
const ROUNDS = Number(process.env.ROUNDS ?? 240)
const AT_ONCE = 8
const QUIET = { RATE_LIMIT: 'off', LOG_LEVEL: 'silent' }

const bearer = (user: TestUser) => as.bearer(user.tokens.access_token)

/** Requests a route behind a module until that is decided: on a busy machine, modules may not answer the gate in time. */
const decisionOf = (gated: GatedService, path: string, user: TestUser) =>
  eventually(async () => {
    const outcome = await gated.get(path, bearer(user))
    return outcome === 'modules_unavailable' ? undefined : outcome
  })

/** Actions of an operator on the library, and of a user on their modules. Each throws if it is refused. */
function library(system: System) {
  const done = async (request: string, options: Options) => {
    const answer = await call(system.url.modules, request, options)
    if (answer.status >= 300) throw new Error(`${request}: ${answer.status} ${answer.text}`)
  }
  const headers = as.operator
  return {
    make: (id: string, fields: object = {}) =>
      done('POST /modules', { headers, body: { id, name: id, description: '', ...fields } }),
    change: (id: string, fields: object) => done(`PATCH /modules/${id}`, { headers, body: fields }),
    remove: (id: string) => done(`DELETE /modules/${id}`, { headers }),
    on: (id: string, user: TestUser) => done(`POST /modules/${id}/enable`, { headers: bearer(user) }),
    off: (id: string, user: TestUser) => done(`POST /modules/${id}/disable`, { headers: bearer(user) }),
  }
}

describe('a route behind a module', () => {
  const ids = ['rounds', 'defaults', 'roles', 'removed', 'gone', 'callers', 'counted', 'restarted', 'many']
  let system: System
  let gated: GatedService
  let modules: ReturnType<typeof library>
  beforeAll(async () => {
    system = await inProcessApart(QUIET)
    gated = await startGatedService(system, ids)
    modules = library(system)
  })
  afterAll(async () => {
    await gated?.stop()
    await system?.stop()
  })
  const may = (id: string, user: TestUser) => decisionOf(gated, `${id}/users`, user)

  test('follows each change from its answer on, for many users at once', async () => {
    await modules.make('rounds')
    const wrong: unknown[] = []
    let slowest = 0
    let round = 0
    const client = async () => {
      const user = await registerUser(system)
      expect(await may('rounds', user)).toBe('module_not_available')
      while (round < ROUNDS) {
        const at = round++
        await modules.on('rounds', user)
        const on = await may('rounds', user)
        const sentAt = performance.now()
        await modules.off('rounds', user)
        slowest = Math.max(slowest, performance.now() - sentAt)
        const off = await may('rounds', user)
        if (on !== 200 || off !== 'module_not_available') wrong.push({ at, on, off })
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, client))
    expect(wrong).toEqual([])
    // The answer waits for the acknowledgement of the gate, at most until its lease ends.
    expect(slowest).toBeLessThan(PROMPT)
    // On a machine that is blocked for long a lease may end.
    expect(gated.lookups.length).toBeLessThan(ROUNDS / 4)
  })

  test('follows the default until the user chooses, and a choice outlives the default', async () => {
    const [chose, none] = [await registerUser(system), await registerUser(system)]
    const both = async () => [await may('defaults', chose), await may('defaults', none)]
    const no = 'module_not_available'
    expect(await both()).toEqual([no, no])
    await modules.make('defaults', { default_enabled: true })
    expect(await both()).toEqual([200, 200])
    await modules.off('defaults', chose)
    expect(await both()).toEqual([no, 200])
    await modules.change('defaults', { default_enabled: false })
    expect(await both()).toEqual([no, no])
    await modules.on('defaults', chose)
    expect(await both()).toEqual([200, no])
    await modules.change('defaults', { default_enabled: true })
    await modules.change('defaults', { default_enabled: false })
    expect(await both()).toEqual([200, no])
  })

  test('needs all roles that the module requires in the token', async () => {
    await modules.make('roles', { required_roles: ['STAFF'] })
    const user = await createUser(system, { roles: ['USER', 'STAFF'] })
    const rank = (required_roles: string[]) => modules.change('roles', { required_roles })
    await modules.on('roles', user)
    expect(await may('roles', user)).toBe(200)
    await rank(['STAFF', 'CHIEF'])
    expect(await may('roles', user)).toBe('module_not_available')
    await rank(['STAFF'])
    expect(await may('roles', user)).toBe(200)
    await call(system.url.users, `PATCH /users/${user.id}`, { headers: as.operator, body: { roles: ['USER'] } })
    expect(await may('roles', user)).toBe('token_revoked')
    const tokens = (await logIn(system, user.email)).body
    expect(await may('roles', { ...user, tokens })).toBe('module_not_available')
    await rank([])
    expect(await may('roles', { ...user, tokens })).toBe(200)
  })

  test('is closed for all users when its module is deleted, and a recreated module has none of their choices', async () => {
    const user = await registerUser(system)
    for (let round = 0; round < 3; round++) {
      await modules.make('removed')
      expect(await may('removed', user)).toBe('module_not_available')
      await modules.on('removed', user)
      expect(await may('removed', user)).toBe(200)
      await modules.remove('removed')
      expect(await may('removed', user)).toBe('module_not_available')
    }
  })

  test('is closed for a deleted user, and no subscriber keeps their choices', async () => {
    await modules.make('gone')
    const user = await registerUser(system)
    await modules.on('gone', user)
    expect(await may('gone', user)).toBe(200)
    await call(system.url.users, `DELETE /users/${user.id}`, { headers: as.operator })
    expect(await may('gone', user)).toBe('token_revoked')
    const feed = 'GET /modules/sync/feed?module=gone&follower=test&after=0&epoch='
    await eventually(async () => {
      const { choices } = (await call(system.url.modules, feed, { headers: as.internal })).body
      expect(choices).toHaveLength(1)
      return choices[0].enabled === null
    })
  })

  test('accepts keys, which act for no user, and administrators if the route is for operators', async () => {
    await modules.make('callers')
    const admin = await createUser(system, { roles: ['USER', 'ADMIN'] })
    const outcomes = async (user: TestUser) =>
      await Promise.all(
        ['users', 'operators', 'services'].map((path) =>
          Promise.all([as.operator, as.internal, bearer(user)].map((headers) => gated.get(`callers/${path}`, headers))),
        ),
      )
    const no = 'module_not_available'
    expect(await outcomes(admin)).toEqual([
      ['forbidden', 'forbidden', no],
      [200, 'forbidden', 200],
      ['forbidden', 200, no],
    ])
    const refusal = await gated.answer('GET /callers/users', { headers: bearer(admin) })
    expect(refusal).toMatchObject({ status: 403, body: { statusCode: 403, code: no } })
    // The module is checked before the body, and after the credentials.
    expect((await gated.answer('POST /callers/bodies', { headers: bearer(admin), body: '{' })).body.code).toBe(no)
    expect((await gated.answer('POST /callers/bodies', { body: '{' })).body.code).toBe('missing_token')
    await modules.on('callers', admin)
    expect((await outcomes(admin)).map((row) => row[2])).toEqual([200, 200, 200])
  })

  test('decides without a request to modules', async () => {
    await modules.make('counted')
    const [on, off] = [await registerUser(system), await registerUser(system)]
    await modules.on('counted', on)
    const [lookupsBefore, pollsBefore, sentAt] = [gated.lookups.length, gated.polls, performance.now()]
    for (let n = 0; n < 500; n++)
      expect([await may('counted', on), await may('counted', off)]).toEqual([200, 'module_not_available'])
    expect(gated.lookups.length).toBeLessThan(lookupsBefore + 50)
    // Only polls are sent: each gate polls again after its last poll is answered, a quarter of a second later.
    const polls = ((performance.now() - sentAt) / 250 + 2) * ids.length
    expect(gated.polls - pollsBefore).toBeLessThan(polls)
  })

  test('keeps all choices when modules restarts, and follows the next change at once', async () => {
    await modules.make('restarted', { default_enabled: true })
    const [one, other] = [await registerUser(system), await registerUser(system)]
    await modules.off('restarted', other)
    for (let round = 0; round < 2; round++) {
      await system.kill('modules')
      await system.start('modules')
      await modules.off('restarted', one)
      expect([await may('restarted', one), await may('restarted', other)]).not.toContain(200)
      await modules.on('restarted', one)
      expect(await eventually(async () => (await may('restarted', one)) === 200)).toBe(true)
    }
  })

  test('has the choices of all 50,000 users of a module soon after its service has started', async () => {
    for (const id of ['few', 'many']) await modules.make(id)
    const [on, off] = [await registerUser(system), await registerUser(system)]
    await system.terminate('modules')
    const choicesOf = (id: string, count: number) => `
      INSERT INTO choices
      WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ${count})
      SELECT '00000000-0000-7000-8000-' || CAST(100000000000 + n AS text), '${id}', 1, 1 FROM n`
    await changeRows(
      system,
      'modules',
      choicesOf('few', 50),
      // A database plans by what it has counted: a few choices, none of them about this module.
      'ANALYZE choices',
      choicesOf('many', 50_000),
      `INSERT INTO choices VALUES ('${on.id}', 'many', 1, 1)`,
      `INSERT INTO choice_changes (module_id, user_id, seq)
      SELECT module_id, user_id, (SELECT seq FROM feed) + row_number() OVER (ORDER BY user_id) FROM choices
      WHERE module_id = 'many'`,
      'UPDATE feed SET seq = (SELECT max(seq) FROM choice_changes)',
    )
    await system.start('modules')
    const late = await startGatedService(system, ['many'])
    try {
      // The gate asks modules until it knows all users, and then stops asking. On a busy machine modules may answer late.
      await eventually(async () => {
        const lookupsBefore = late.lookups.length
        const outcomes = [await decisionOf(late, 'many/users', on), await decisionOf(late, 'many/users', off)]
        expect(outcomes).toEqual([200, 'module_not_available'])
        return late.lookups.length === lookupsBefore
      })
      expect(late.polls).toBeGreaterThan(25)
      await modules.off('many', on)
      expect(await decisionOf(late, 'many/users', on)).toBe('module_not_available')
    } finally {
      await late.stop()
    }
  })
})

test('a gate in one process with modules calls it in memory, and follows changes as promptly', async () => {
  // Also when other tests run over nodes: one process is the subject.
  const system = await inThisProcess()
  const gated = await startGatedService(system, ['billing'], {
    send: (request, name) => system.app(name).handle(request),
  })
  try {
    const modules = library(system)
    await modules.make('billing')
    const user = await registerUser(system)
    for (let round = 0; round < 30; round++) {
      await modules.on('billing', user)
      expect(await gated.get('billing/users', bearer(user))).toBe(200)
      await modules.off('billing', user)
      expect(await gated.get('billing/users', bearer(user))).toBe('module_not_available')
    }
    expect(gated.lookups.length).toBeLessThan(10)
  } finally {
    await gated.stop()
    await system.stop()
  }
})

describe('a gate that is cut off from modules', () => {
  let system: System
  let toModules: Between
  let gated: GatedService
  let modules: ReturnType<typeof library>
  beforeAll(async () => {
    system = await inProcessApart(QUIET)
    toModules = await startProxy(() => system.url.modules)
    gated = await startGatedService(system, ['billing'], { urls: { modules: toModules.url } })
    modules = library(system)
    await modules.make('billing')
  })
  afterAll(async () => {
    await gated?.stop()
    toModules?.stop()
    await system?.stop()
  })
  const may = (user: TestUser) => gated.get('billing/users', bearer(user))
  /** Waits until the gate has the latest changes. */
  const caughtUp = async () => {
    const polls = gated.polls
    await eventually(() => gated.polls > polls + 2)
  }

  test.each(['broken', 'silent'] as const)('from their feed alone (%s) asks modules for each request', async (how) => {
    await caughtUp()
    const [first, later] = [await registerUser(system), await registerUser(system)]
    for (const user of [first, later]) await modules.on('billing', user)
    expect([await may(first), await may(later)]).toEqual([200, 200])
    const lookupsBefore = gated.lookups.length
    toModules.cut = { paths: /\/modules\/sync\/feed/, how }
    const sentAt = performance.now()
    // The first change waits until the lease of the gate has ended; later changes do not wait.
    await modules.off('billing', first)
    expect(performance.now() - sentAt).toBeLessThan(PROMPT)
    expect([await may(first), await may(later)]).toEqual(['module_not_available', 200])
    const changedAt = performance.now()
    await modules.off('billing', later)
    expect(performance.now() - changedAt).toBeLessThan(PROMPT)
    expect(await may(later)).toBe('module_not_available')
    await modules.on('billing', later)
    expect(await may(later)).toBe(200)
    expect(gated.lookups.length - lookupsBefore).toBe(4)
    toModules.cut = undefined
    await caughtUp()
    expect([await may(first), await may(later)]).toEqual(['module_not_available', 200])
  })

  test('altogether refuses users whose module is off, and answers others with 503 until modules is back', async () => {
    await caughtUp()
    const [on, off] = [await registerUser(system), await registerUser(system)]
    await modules.on('billing', on)
    await system.kill('modules')
    const refused = await eventually(async () => {
      const outcome = await may(on)
      expect([200, 'modules_unavailable']).toContain(outcome)
      expect(await may(off)).toBe('module_not_available')
      return outcome === 200 ? undefined : outcome
    })
    expect(refused).toBe('modules_unavailable')
    const answer = await gated.answer('GET /billing/users', { headers: bearer(on) })
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1'])
    expect(await gated.get('billing/operators', as.operator)).toBe(200)
    const late = await startGatedService(system, ['billing'])
    expect([await late.get('billing/users', bearer(on)), await late.get('billing/users', bearer(off))]).toEqual([
      'modules_unavailable',
      'modules_unavailable',
    ])
    await system.start('modules')
    for (const one of [gated, late]) await eventually(async () => (await one.get('billing/users', bearer(on))) === 200)
    expect([await may(off), await late.get('billing/users', bearer(off))]).toEqual(
      Array(2).fill('module_not_available'),
    )
    await late.stop()
  })
})

test('a gate whose feed was reset decides nothing until it has all choices', async () => {
  const [ana, ben] = ['ana', 'ben']
  const lookups: string[] = []
  const module = { default: true, roles: [] }
  const page = { epoch: 'first', seq: 2, complete: true, reset: false, module, choices: [] }
  // Each page is sent after the one before it was checked.
  const pages: ModulePage[] = [
    { ...page, seq: 1, reset: true, choices: [{ user: ben, enabled: false }] },
    { ...page, seq: 1, epoch: 'restored', reset: true, complete: false, choices: [{ user: ana, enabled: false }] },
    { ...page, epoch: 'restored', choices: [{ user: ben, enabled: true }] },
  ]
  let next = Promise.withResolvers<void>()
  let polls = 0
  /** Waits for polls: the answer of one has been applied when the next one is sent. */
  const polled = (times: number) => eventually(() => polls >= times)
  const turn = async () => {
    const before = polls
    next.resolve()
    next = Promise.withResolvers()
    await polled(before + 1)
  }
  const source: ModuleFeedSource = {
    async poll(_module, _subscriber, after) {
      polls++
      if (after > 0) await next.promise
      return pages.shift() ?? { ...page, epoch: 'restored' }
    },
    async modulesOf(user) {
      lookups.push(user)
      return []
    },
  }
  const gates = new ModuleGates({ name: 'test', source, clock: systemClock, log: silentLog })
  const gate = gates.of('billing')
  const may = async (userId: string) => {
    const caller = { userId, roles: [], requestId: 'r', operator: false } as unknown as Caller
    try {
      await gate.admit(caller, ['user'])
      return true
    } catch {
      return false
    }
  }
  await gates.start(1000)
  await polled(2)
  expect([await may(ana), await may(ben), lookups]).toEqual([true, false, []])
  await turn()
  expect([await may(ana), await may(ben), lookups]).toEqual([false, false, [ana, ben]])
  await turn()
  expect([await may(ana), await may(ben), lookups]).toEqual([false, true, [ana, ben]])
  const stopped = gates.stop()
  next.resolve()
  await stopped
})

describe('a route that names a module', () => {
  const modules = { of: (id: string) => ({ id }) } as unknown as ModuleGates
  const build = (route: object, options: { modules?: ModuleGates } = { modules }) => {
    const tokens = { check: () => ({ valid: false, reason: 'malformed' }) as const }
    const keys = { internalKeys: [], operatorKeys: [], clientAddress: new ClientAddress([]), clock: systemClock }
    return () => new Elysia().use(guard({ tokens, ...keys, ...options })).get('/', () => '', route)
  }
  const rows: [string, object, string | undefined][] = [
    ['lets users in', { auth: ['user'], module: 'billing' }, undefined],
    ['lets users in, the other way round', { module: 'billing', auth: ['operator', 'user'] }, undefined],
    ['names no caller', { module: 'billing' }, 'must name `user`'],
    ['lets only keys in', { auth: ['operator', 'internal'], module: 'billing' }, 'must name `user`'],
    ['lets only keys in, the other way round', { module: 'billing', auth: ['internal'] }, 'must name `user`'],
    ['lets anyone in', { auth: ['anyone', 'user'], module: 'billing' }, 'not `anyone`'],
  ]
  test.each(rows)('%s', (_, route, refusal) => {
    if (refusal === undefined) expect(build(route)).not.toThrow()
    else expect(build(route)).toThrow(refusal)
  })

  test('is documented with the module', () => {
    const routes = build({ auth: ['user'], module: 'billing', response: t.String() })()
    const route = openApiDocument('Gated', '1', documentedPaths({ routes })).paths['/api/v1/']?.get
    expect(route?.description).toBe('For users, with their access token. The module `billing` must be on for the user.')
    const { 403: refused, 503: away } = route?.responses ?? {}
    expect(refused?.description).toContain('`module_not_available`')
    expect(away?.description).toContain('`modules_unavailable`')
    expect(JSON.stringify(route)).not.toContain('x-')
  })

  test('cannot be built in an app whose guard has no gates', () => {
    expect(build({ auth: ['user'], module: 'billing' }, {})).toThrow('has no `modules`')
  })
})
