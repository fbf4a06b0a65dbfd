import type { Drift } from '../../../db/sqlite/inspect/index.ts'
import type { StoredData } from '../../runner/stored-data.ts'
import { count, counted } from '../../terminal/terminal.ts'
import { type Check, type DoctorContext, type Finding, failed, ok, warning } from './check.ts'
import { withDatabase } from './databases.ts'
import { mailSettingsChecks, mailWaiting } from './mail.ts'

const NOTICE_LATE_AFTER = 60_000
/** Milliseconds after which a change must have reached auth. */
const SETTLE_TIME = 1200
const EVENT_LATE_AFTER = 3_600_000

export const propagationChecks: Check[] = [
  ...(['users', 'modules'] as const).map(
    (name): Check => ({
      id: `outbox.${name}`,
      describes: `notices from ${name} to other services are delivered within a minute`,
      async run(context) {
        const up = (await context.services()).some(({ health }) => health?.status === 200)
        return withDatabase(name, (data) => checkOutbox(data, context.now, up))(context)
      },
    }),
  ),
  {
    id: 'cache.drift',
    describes: 'the password cache of auth has the same users as the users service, in the same version',
    run: checkDrift,
  },
  mailWaiting,
  ...mailSettingsChecks,
  {
    id: 'deliveries.waiting',
    describes:
      'events reach webhooks and the message broker: a warning if one has waited for an hour or is a dead letter',
    run: withDatabase('auth', async (auth, { now }) => {
      const { dead, late } = await auth.undelivered(now - EVENT_LATE_AFTER)
      if (dead > 0)
        return warning(`${deliveries(dead)} dead and will not be retried`, 'ch202 webhooks deliveries --status dead')
      if (late === 0) return ok('No delivery is waiting for long')
      return warning(`${deliveries(late)} waiting for over an hour`, 'ch202 webhooks deliveries --status pending')
    }),
  },
]

function deliveries(number: number): string {
  return counted(number, 'delivery is', 'deliveries are')
}

async function checkOutbox(data: StoredData, now: number, up: boolean): Promise<Finding> {
  const waiting = await data.waitingNotices(now - NOTICE_LATE_AFTER)
  const late = waiting.filter((target) => target.late > 0)
  const sum = waiting.reduce((total, { notices }) => total + notices, 0)
  if (late.length === 0)
    return ok(
      sum === 0 ? 'No notice is waiting' : `${counted(sum, 'notice is', 'notices are')} waiting, but not for long`,
    )
  const details = late.map(
    ({ late: notices, oldest, target }) =>
      `${count(notices)} for ${target} since ${new Date(oldest ?? now).toISOString()}`,
  )
  // With the services stopped the notices wait for the next start, and none is lost.
  return up
    ? failed(`Not delivered: ${details.join(', ')}`, 'ch202 logs --level error')
    : warning(`Waiting until the services run: ${details.join(', ')}`, 'ch202 start')
}

/** Compares the two databases, and while the services run compares them again before it reports a difference. */
async function checkDrift(context: DoctorContext): Promise<Finding> {
  const up = (await context.services()).some(({ health }) => health?.status === 200)
  let drifting: Map<string, Drift> | undefined
  const compare = withDatabase('users', () =>
    withDatabase('auth', async () => {
      const current = (await context.drifts()).map((drift) => [JSON.stringify(drift), drift] as const)
      // The second comparison keeps only what the first one found too.
      drifting = new Map([...current].filter(([key]) => drifting?.has(key) ?? true))
      return driftFinding(drifting)
    })(context),
  )
  const first = await compare(context)
  if (first.status !== 'failed' || !up) return first
  // The files are read one after the other, so a change in progress looks like a difference for a moment.
  await Bun.sleep(SETTLE_TIME)
  return compare(context)
}

function driftFinding(drifting: Map<string, Drift>): Finding {
  if (drifting.size === 0) return ok('The password cache matches the users service')
  const kinds = Map.groupBy(drifting.values(), ({ kind }) => kind)
  const details = [...kinds].map(([kind, all]) => `${count(all.length)} ${KINDS[kind]}`)
  return failed(`The password cache differs: ${details.join(', ')}`, 'ch202 cache sync')
}

const KINDS: Record<Drift['kind'], string> = {
  behind: 'older than in the users service',
  ahead: 'newer than in the users service',
  gone: 'of users who no longer exist',
  buried: 'marked as deleted although the user exists',
}
