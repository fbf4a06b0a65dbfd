import {
  type Drift,
  drifts,
  type InspectedDatabase,
  undelivered,
  waitingNotices,
} from '../../../db/sqlite/inspect/index.ts'
import { count } from '../../terminal/terminal.ts'
import { type Check, type Finding, failed, ok, type Scene, warning } from './check.ts'
import { withDatabase } from './databases.ts'
import { mailWaiting } from './mail.ts'

const LATE = 60_000
/** Milliseconds that a change may take to reach auth. */
const SETTLES = 1200
const EVENT_LATE = 3_600_000

export const propagationChecks: Check[] = [
  ...(['users', 'modules'] as const).map(
    (name): Check => ({
      id: `outbox.${name}`,
      looksAt: `what ${name} has to tell others was told within a minute`,
      async look(scene) {
        const up = (await scene.services()).some(({ health }) => health?.status === 200)
        return withDatabase(name, (examined) => tellOutbox(examined, scene.now, up))(scene)
      },
    }),
  ),
  {
    id: 'cache.drift',
    looksAt: 'auth knows of every user what users does: the same users, in the same version',
    look: tellDrift,
  },
  mailWaiting,
  {
    id: 'deliveries.waiting',
    looksAt: 'events reach webhooks and the broker: a warning where one has waited for an hour, or is dead',
    look: withDatabase('auth', (examined, { now }) => {
      const { dead, late } = undelivered(examined, now - EVENT_LATE)
      if (dead > 0)
        return warning(
          `Of the events for others ${areOrIs(dead, 'dead')}: they are not sent again by themselves`,
          'ch202 webhooks deliveries --status dead',
        )
      if (late === 0) return ok('No event waits for long')
      const waited = `${count(late)} ${late === 1 ? 'has' : 'have'} waited for an hour`
      return warning(`Of the events for others ${waited}`, 'ch202 webhooks deliveries --status pending')
    }),
  },
]

function areOrIs(many: number, what: string): string {
  return `${count(many)} ${many === 1 ? 'is' : 'are'} ${what}`
}

function tellOutbox(examined: InspectedDatabase, now: number, up: boolean): Finding {
  const waiting = waitingNotices(examined, now - LATE)
  const late = waiting.filter((target) => target.late > 0)
  const sum = waiting.reduce((total, { notices }) => total + notices, 0)
  if (late.length === 0) return ok(sum === 0 ? 'Nothing waits' : `${count(sum)} notices wait, none for long`)
  const said = late.map(
    ({ late: notices, oldest, target }) =>
      `${count(notices)} for ${target} since ${new Date(oldest ?? now).toISOString()}`,
  )
  // With the services down they wait for the next start, and lose nothing.
  return up
    ? failed(`Not taken: ${said.join(', ')}`, 'ch202 logs --level error')
    : warning(`Wait for the services to run: ${said.join(', ')}`, 'ch202 start')
}

async function tellDrift(scene: Scene): Promise<Finding> {
  const up = (await scene.services()).some(({ health }) => health?.status === 200)
  // One file is read after the other: a change under way shows as a difference that is gone a moment later.
  let found: Map<string, Drift> | undefined
  const look = withDatabase('users', (users) =>
    withDatabase('auth', (auth) => {
      const now = differences(users, auth)
      found = new Map([...now].filter(([what]) => found?.has(what) ?? true))
      return tellDifferences(found)
    })(scene),
  )
  const first = look(scene)
  if (first.status !== 'failed' || !up) return first
  await Bun.sleep(SETTLES)
  return look(scene)
}

function tellDifferences(found: Map<string, Drift>): Finding {
  if (found.size === 0) return ok('The cache agrees with users')
  const kinds = Map.groupBy(found.values(), ({ kind }) => kind)
  const said = [...kinds].map(([kind, all]) => `${count(all.length)} ${SAID[kind]}`)
  return failed(`The password cache differs: ${said.join(', ')}`, 'ch202 cache sync')
}

const SAID: Record<Drift['kind'], string> = {
  behind: 'older than in users',
  ahead: 'newer than in users',
  gone: 'of users who are gone',
  buried: 'held for deleted who are there',
}
/** As many as are told apart. */
const DRIFTS_MAX = 10_000

function differences(users: InspectedDatabase, auth: InspectedDatabase): Map<string, Drift> {
  const found = new Map<string, Drift>()
  for (const drift of drifts(users, auth)) {
    found.set(JSON.stringify(drift), drift)
    if (found.size === DRIFTS_MAX) break
  }
  return found
}
