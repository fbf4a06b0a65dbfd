import { type GatedService, startGatedService } from '../contract/gated-service.ts'
import { registerUser, type TestUser } from '../support/actors.ts'
import { atOnce } from '../support/at-once.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import type { Cluster } from './cluster.ts'
import type { Faults } from './faults.ts'

/** Services with routes behind a module, as nodes of one service are. */
const GATES = 3
const MODULE = 'gated'

/** The results of modules that are switched off. */
export interface GateFigures {
  switched: number
  /** Gates and nodes for which the module was still on after the answer. */
  open: string[]
  /** Switches that were answered with 503, or not at all. */
  busy: number
  times: number[]
}

/**
 * Switches a module on and off for users, at nodes without a fault; right after the answer, tries each service with a route
 * behind the module, and asks each node of modules.
 * @param faults those that happen meanwhile
 */
export async function switchModules(system: Cluster, rounds: number, faults: Faults): Promise<GateFigures> {
  const figures: GateFigures = { switched: 0, open: [], busy: 0, times: [] }
  const body = { id: MODULE, name: 'Gated', description: 'A module that routes need' }
  const create = () => call(faults.healthy('modules', 0).url, 'POST /api/v1/modules', { headers: as.operator, body })
  await eventually(async () => [201, 409].includes((await create().catch(() => ({ status: 0 }))).status))
  const gates: GatedService[] = []
  for (let gate = 0; gate < GATES; gate++) gates.push(await startGatedService(system, [MODULE]))

  /** @returns whether it was answered */
  const turn = async (to: 'enable' | 'disable', user: TestUser, round: number): Promise<boolean> => {
    const sentAt = performance.now()
    const headers = as.bearer(user.tokens.access_token)
    const { url } = faults.healthy('modules', round)
    const status = await call(url, `POST /api/v1/modules/${MODULE}/${to}`, { headers }).then(
      (answer) => answer.status,
      () => 0,
    )
    if (status === 0 || status >= 500) figures.busy++
    else if (status < 300) figures.times.push(performance.now() - sentAt)
    return status < 300 && status > 0
  }
  const newUser = (round: number) =>
    eventually(() => registerUser({ url: { auth: faults.healthy('auth', round).url } }).catch(() => undefined))

  try {
    await atOnce(rounds, async (round) => {
      const user = await newUser(round)
      await eventually(() => turn('enable', user, round))
      await eventually(() => turn('disable', user, round + 1))
      figures.switched++
      await Promise.all([
        ...gates.map(async (gate, n) => {
          const answer = await gate.get(`${MODULE}/users`, as.bearer(user.tokens.access_token))
          if (answer === 200) figures.open.push(`gate ${n} (${faults.happening})`)
        }),
        ...system.nodes.modules
          .filter((node) => node.isRunning && node !== faults.node)
          .map(async ({ name, url }) => {
            const answer = await call(url, `GET /api/v1/modules/users/${user.id}`, { headers: as.operator }).catch(
              () => undefined,
            )
            if (answer?.body.modules?.includes(MODULE)) figures.open.push(`${name} (${faults.happening})`)
          }),
      ])
    })
  } finally {
    await Promise.all(gates.map((gate) => gate.stop()))
  }
  return figures
}
