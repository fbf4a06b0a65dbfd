import { SECOND } from '../../../services/kit/clock.ts'
import { counted } from '../../terminal/terminal.ts'
import { type Check, failed, ok, skipped, warning } from './check.ts'
import { withDatabase } from './databases.ts'

/** Printed characters of the chain's head: enough that nobody can forge a chain with the same head. */
const HEAD_LENGTH = 32
/** Milliseconds within which a node chains a row, also when the one that did it has died. */
const UNCHAINED_AT_MOST = 30 * SECOND

export const auditChecks: Check[] = [
  {
    id: 'audit.chain',
    describes: 'no row of the audit log was changed, removed or inserted',
    run: withDatabase('auth', async (auth, { databaseUrl }) => {
      const chain = await auth.auditChain()
      if (!chain)
        return skipped('The audit log has no chain until the pending migration is applied: see db.auth.schema')
      // A backup has the original rows.
      if (chain.fault !== undefined)
        return failed(chain.fault, `ch202 backup verify${databaseUrl === undefined ? '' : ' --from …'}`)
      const intact = `${counted(chain.rows, 'row')}, head ${chain.head.slice(0, HEAD_LENGTH)}`
      const { rows, waiting } = chain.unchained ?? { rows: 0, waiting: 0 }
      if (rows === 0) return ok(intact)
      const message = `${intact}; ${counted(rows, 'row')} not chained yet`
      if (waiting < UNCHAINED_AT_MOST) return ok(message)
      return warning(`${message}, for ${Math.round(waiting / SECOND)} s`, 'ch202 logs auth --level error')
    }),
  },
]
