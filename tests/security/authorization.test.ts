import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { call } from '../support/http.ts'
import { overProcesses } from '../support/processes.ts'
import type { Name } from '../support/settings.ts'
import type { System } from '../support/system.ts'
import { sliced } from '../support/whole.ts'
import type { Databases } from './databases.ts'
import { credentialsOf, type Fixture, fixtureFor, outlasting, requestOf, type Served } from './operations.ts'
import { CALLERS, type Caller, may, POLICY, type Policy } from './policy.ts'
import { openSetup, type Setup } from './setup.ts'

describe('check 17: the permissions', () => {
  let system: System
  let databases: Databases
  let operations: Map<string, Served>
  let others: Setup['others']
  let setup: Setup
  beforeAll(async () => {
    setup = await openSetup(overProcesses('apart'))
    ;({ operations, others, system, databases } = setup)
  })
  afterAll(() => setup?.close())

  const ask = (one: Served, fixture: Fixture, caller: Caller, service: Name, where?: 'at the root') => {
    const { line, headers, ...rest } = requestOf(one, fixture, caller)
    const request = where ? line.replace(' /api/v1/', ' /') : line
    return call(system.url[service], request, { headers: { ...credentialsOf(caller, fixture), ...headers }, ...rest })
  }

  test('cover exactly the documented operations', () => {
    const rows = POLICY.map((policy) => policy.call)
    expect([...operations.keys()].toSorted()).toEqual(rows.toSorted())
    expect(new Set(rows).size).toBe(rows.length)
    for (const { statuses } of POLICY) for (const caller of CALLERS) expect(statuses[caller]).toBeWithin(200, 405)
  })

  // In the suite one row of each pattern of statuses, and some more: `answers.test.ts` asks for all of them as every caller.
  const patternOf = ({ statuses }: Policy) => JSON.stringify(statuses)
  test.each(sliced(POLICY, 4, patternOf))('$call', async (policy) => {
    const one = operations.get(policy.call)
    if (!one) throw new Error('No document has it')
    for (const service of one.at) {
      const statuses = new Map<Caller, number>()
      // Refused callers come first: they change nothing, so that one fixture is enough.
      const fixture = await fixtureFor(system, one, others)
      const state = () => databases.state(fixture.values.user_id, fixture.values.id)
      const before = state()
      const refused = CALLERS.filter((caller) => !may(policy, caller))
      // In the suite some of them at the root too.
      const refusedAtRoot = sliced(refused, 4)
      for (const caller of refused) {
        const answers = [await ask(one, fixture, caller, service)]
        if (refusedAtRoot.includes(caller)) answers.push(await ask(one, fixture, caller, service, 'at the root'))
        for (const { body, status, text } of answers) {
          expect([body.statusCode, body.code]).toEqual([status, expect.any(String)])
          // A refusal reveals nothing about the resource.
          for (const value of [fixture.owner.email, fixture.values.username]) expect(text).not.toContain(String(value))
        }
        const [status, atRoot = status] = answers.map((answer) => answer.status)
        expect(atRoot).toBe(Number(status))
        statuses.set(caller, Number(status))
        expect([caller, state() === before]).toEqual([caller, true])
      }
      for (const caller of CALLERS.filter((caller) => may(policy, caller))) {
        const reads = policy.call.startsWith('GET')
        const fresh = reads ? fixture : await fixtureFor(system, one, outlasting(caller, others))
        statuses.set(caller, (await ask(one, fresh, caller, service)).status)
      }
      for (const caller of CALLERS) expect([caller, statuses.get(caller)]).toEqual([caller, policy.statuses[caller]])
    }
  })
})
