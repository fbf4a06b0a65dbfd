import { describe, expect, test } from 'bun:test'
import { registerUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { running } from '../support/running.ts'
import { cluster } from './cluster.ts'

/** Milliseconds for which a node stands still: longer than every lease. */
const STANDSTILL = 3000
/** Milliseconds for which a node that continues is asked: longer than the time limits of its own questions. */
const QUESTION_TIME = 3000

describe('a node that was frozen, and is cut off when it continues', () => {
  const here = running((env) => cluster(env, { lines: true, nodes: 2 }), { RATE_LIMIT: 'off', LOG_LEVEL: 'silent' })

  /** The statuses of a token at a node, asked again and again. */
  async function statusesOf(url: string, route: string, token: string): Promise<number[]> {
    const statuses = new Set<number>()
    const end = performance.now() + QUESTION_TIME
    while (performance.now() < end) statuses.add((await call(url, route, { headers: as.bearer(token) })).status)
    return [...statuses]
  }

  async function logOut(token: string): Promise<void> {
    const answer = await call(here.system.node('auth', 1).url, 'POST /auth/logout', { headers: as.bearer(token) })
    expect(answer.status).toBe(204)
  }

  test('accepts no token that was ended meanwhile: auth without the database', async () => {
    const { tokens } = await registerUser(here.system)
    const node = here.system.node('auth', 2)
    node.freeze()
    await here.system.withdraw(node)
    await Bun.sleep(STANDSTILL)
    await logOut(tokens.access_token)
    node.cutOff()
    node.thaw()
    expect(await statusesOf(node.url, 'GET /auth/me', tokens.access_token)).toEqual([503])
    node.rejoin()
    await eventually(async () => (await statusesOf(node.url, 'GET /auth/me', tokens.access_token)).at(-1) === 401)
    await here.system.restore(node)
  })

  test('accepts no token that was ended meanwhile: users without auth', async () => {
    const { id, tokens } = await registerUser(here.system)
    const node = here.system.node('users', 2)
    node.freeze()
    await here.system.withdraw(node)
    await Bun.sleep(STANDSTILL)
    await logOut(tokens.access_token)
    const nodesOfAuth = here.system.nodes.auth
    for (const each of nodesOfAuth) each.freeze()
    node.thaw()
    expect(await statusesOf(node.url, `GET /users/${id}`, tokens.access_token)).toEqual([503])
    for (const each of nodesOfAuth) each.thaw()
    await eventually(async () => (await statusesOf(node.url, `GET /users/${id}`, tokens.access_token)).at(-1) === 401)
  })
})
