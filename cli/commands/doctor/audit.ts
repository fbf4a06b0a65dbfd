import { auditChain } from '../../../db/sqlite/inspect/index.ts'
import { counted } from '../../terminal/terminal.ts'
import { type Check, failed, ok, skipped } from './check.ts'
import { withDatabase } from './databases.ts'

/** Printed characters of the chain's head: enough that nobody can forge a chain with the same head. */
const HEAD_LENGTH = 32

export const auditChecks: Check[] = [
  {
    id: 'audit.chain',
    describes: 'no row of the audit log was changed, removed or inserted',
    run: withDatabase('auth', (database) => {
      const chain = auditChain(database)
      if (!chain)
        return skipped('The audit log has no chain until the pending migration is applied: see db.auth.schema')
      // A backup has the original rows.
      if (chain.fault !== undefined) return failed(chain.fault, 'ch202 backup verify')
      return ok(`${counted(chain.rows, 'row')}, head ${chain.head.slice(0, HEAD_LENGTH)}`)
    }),
  },
]
