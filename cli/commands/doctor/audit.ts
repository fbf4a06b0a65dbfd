import { DAY, SECOND } from '../../../services/kit/clock.ts'
import { counted } from '../../terminal/terminal.ts'
import { humanDuration } from '../../terminal/times.ts'
import { type Check, type DoctorContext, type Finding, failed, ok, skipped, warning } from './check.ts'
import { withDatabase } from './databases.ts'

/** Printed characters of the chain's head: enough that nobody can forge a chain with the same head. */
const HEAD_LENGTH = 32
/** Milliseconds within which a node chains a row, also when the one that did it has died. */
const UNCHAINED_AT_MOST = 30 * SECOND
/** Milliseconds after which a row that AUDIT_RETENTION removes is gone: a removal is made once a day. */
const REMOVED_WITHIN = 2 * DAY

export const auditChecks: Check[] = [
  {
    id: 'audit.chain',
    describes:
      'no row of the audit log was changed, removed or inserted; how long rows are kept, with `AUDIT_RETENTION`',
    run: withDatabase('auth', async (auth, { config, databaseUrl, now }) => {
      const chain = await auth.auditChain()
      if (!chain)
        return skipped('The audit log has no chain until the pending migration is applied: see db.auth.schema')
      // A backup has the original rows.
      if (chain.fault !== undefined)
        return failed(chain.fault, `ch202 backup verify${databaseUrl === undefined ? '' : ' --from …'}`)
      const intact = `${counted(chain.rows, 'row')}, head ${chain.head.slice(0, HEAD_LENGTH)}`
      const { rows, waiting } = chain.unchained ?? { rows: 0, waiting: 0 }
      if (rows === 0) return withRetention(intact, chain.oldest, config?.auditRetention, now)
      const message = `${intact}; ${counted(rows, 'row')} not chained yet`
      if (waiting < UNCHAINED_AT_MOST) return ok(message)
      return warning(`${message}, for ${Math.round(waiting / SECOND)} s`, 'ch202 logs auth --level error')
    }),
  },
]

/** Adds how long rows are kept, and warns if older ones are left. */
function withRetention(
  intact: string,
  oldest: number | undefined,
  retention: NonNullable<DoctorContext['config']>['auditRetention'],
  now: number,
): Finding {
  if (retention === undefined) return ok(intact)
  const message = `${intact}; rows are kept for ${humanDuration(retention)}`
  const age = oldest === undefined ? 0 : now - oldest
  if (age < retention + REMOVED_WITHIN) return ok(message)
  return warning(`${message}, but the oldest is from ${humanDuration(age)} ago`, 'ch202 logs auth --level error')
}
