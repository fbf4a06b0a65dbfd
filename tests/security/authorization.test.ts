import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { call, type Name, type System } from '../support/system.ts'
import { CALLERS, type Caller, may, POLICY } from './policy.ts'
import { credentialsOf, outlasting, requestOf, type Scene, type Served, sceneFor } from './scene.ts'
import { openStage, type Stage } from './stage.ts'
import type { World } from './world.ts'

describe('check 17: who may do what', () => {
  let system: System
  let world: World
  let operations: Map<string, Served>
  let others: Stage['others']
  let stage: Stage
  beforeAll(async () => {
    stage = await openStage('three processes')
    ;({ operations, others, system, world } = stage)
  })
  afterAll(() => stage?.close())

  const ask = (one: Served, scene: Scene, caller: Caller, service: Name, where?: 'at the root') => {
    const { line, headers, ...rest } = requestOf(one, scene, caller)
    const request = where ? line.replace(' /api/v1/', ' /') : line
    return call(system.url[service], request, { headers: { ...credentialsOf(caller, scene), ...headers }, ...rest })
  }

  test('every operation of the documents has a row, and every row an operation', () => {
    const rows = POLICY.map((policy) => policy.call)
    expect([...operations.keys()].toSorted()).toEqual(rows.toSorted())
    expect(new Set(rows).size).toBe(rows.length)
    for (const { statuses } of POLICY) for (const caller of CALLERS) expect(statuses[caller]).toBeWithin(200, 405)
  })

  test.each(POLICY)('$call', async (policy) => {
    const one = operations.get(policy.call)
    if (!one) throw new Error('No document has it')
    for (const service of one.at) {
      const said = new Map<Caller, number>()
      // Those who are refused first: they leave all as it was, so that one scene is enough.
      const scene = await sceneFor(system, one, others)
      const state = () => world.state(scene.values.user_id, scene.values.id)
      const before = state()
      for (const caller of CALLERS.filter((caller) => !may(policy, caller))) {
        const answers = [await ask(one, scene, caller, service), await ask(one, scene, caller, service, 'at the root')]
        for (const { body, status, text } of answers) {
          expect([body.statusCode, body.code]).toEqual([status, expect.any(String)])
          // Nothing is told of what it is about.
          for (const value of [scene.owner.email, scene.values.username]) expect(text).not.toContain(String(value))
        }
        const [status, atRoot] = answers.map((answer) => answer.status)
        expect(atRoot).toBe(Number(status))
        said.set(caller, Number(status))
        expect([caller, state() === before]).toEqual([caller, true])
      }
      for (const caller of CALLERS.filter((caller) => may(policy, caller))) {
        const reads = policy.call.startsWith('GET')
        const fresh = reads ? scene : await sceneFor(system, one, outlasting(caller, others))
        said.set(caller, (await ask(one, fresh, caller, service)).status)
      }
      for (const caller of CALLERS) expect([caller, said.get(caller)]).toEqual([caller, policy.statuses[caller]])
    }
  })
})
