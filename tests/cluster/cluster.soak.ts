import { describe, expect, test } from 'bun:test'
import { registerUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { running } from '../support/running.ts'
import { cluster } from './cluster.ts'
import { askEveryNode } from './every-node.ts'

const SERVICES = ['auth', 'users', 'modules'] as const

describe('the cluster of the tests', () => {
  const here = running((env) => cluster(env, { lines: true }), { RATE_LIMIT: 'off', LOG_LEVEL: 'silent' })
  const health = async (url: string) => (await call(url, 'GET /health/db')).status
  /** Requests by way of the balancer, more than there are nodes. */
  const throughBalancer = async () => {
    const statuses: number[] = []
    for (let n = 0; n < 7; n++) statuses.push(await health(here.system.url.users))
    return [...new Set(statuses)]
  }

  test('has three nodes of each service, and answers by way of their balancers', async () => {
    const names = here.system.all().map(({ name }) => name)
    expect(names).toEqual(SERVICES.flatMap((service) => [1, 2, 3].map((number) => `${service}-${number}`)))
    const { id, tokens } = await registerUser(here.system)
    expect(Object.keys(await askEveryNode(here.system, tokens.access_token))).toEqual(names)
    for (const { url } of here.system.nodes.users)
      expect((await call(url, `GET /users/${id}`, { headers: as.operator })).status).toBe(200)
    for (const service of SERVICES) expect(await health(here.system.url[service])).toBe(200)
  })

  test('kills a node, starts it again, and adds one', async () => {
    const node = here.system.node('users', 2)
    await node.kill()
    expect([node.isRunning, await throughBalancer()]).toEqual([false, [200]])
    expect(health(node.url)).rejects.toThrow()
    await node.start()
    expect(await health(node.url)).toBe(200)
    const added = await here.system.add('users')
    expect([added.name, await health(added.url), await throughBalancer()]).toEqual(['users-4', 200, [200]])
  })

  test('freezes a node, which answers when it continues; a balancer that withdraws it does not wait', async () => {
    const node = here.system.node('users', 1)
    node.freeze()
    let isAnswered = false
    const answer = health(node.url).then((status) => {
      isAnswered = true
      return status
    })
    await here.system.withdraw(node)
    expect([await throughBalancer(), isAnswered]).toEqual([[200], false])
    node.thaw()
    expect(await answer).toBe(200)
    await here.system.restore(node)
    expect(await throughBalancer()).toEqual([200])
  })

  test('cuts a node off from the database, the others not', async () => {
    const node = here.system.node('modules', 3)
    node.cutOff()
    await eventually(async () => (await health(node.url)) === 503)
    expect(await health(here.system.node('modules', 1).url)).toBe(200)
    node.rejoin()
    await eventually(async () => (await health(node.url)) === 200)
  })

  test('stops and starts all nodes of a service', async () => {
    await here.system.kill('modules')
    expect(await health(here.system.url.modules)).toBeOneOf([502, 503])
    await here.system.start('modules')
    expect(await health(here.system.url.modules)).toBe(200)
  })
})
