import { auditChain } from '../../../db/sqlite/inspect/index.ts'
import { count } from '../../terminal/terminal.ts'
import { type Check, failed, ok, skipped } from './check.ts'
import { withDatabase } from './databases.ts'

/** Characters of the head that are told: enough for no other chain to be made that ends so. */
const HEAD_SHOWN = 32

export const auditChecks: Check[] = [
  {
    id: 'audit.chain',
    looksAt: 'no row of the audit was altered, removed or put in between',
    look: withDatabase('auth', (examined) => {
      const chain = auditChain(examined)
      if (!chain) return skipped('The audit is chained by a migration that is to be applied: see db.auth.schema')
      // A backup tells what stood there.
      if (chain.fault !== undefined) return failed(chain.fault, 'ch202 backup verify')
      return ok(
        `${count(chain.rows)} ${chain.rows === 1 ? 'row' : 'rows'}, the head is ${chain.head.slice(0, HEAD_SHOWN)}`,
      )
    }),
  },
]
