import type { Caller } from '../../kit/caller.ts'
import { BY_MAIL } from '../../kit/login-verdict.ts'
import { type AuditRecordContext, auditEvent } from '../audit/record.ts'
import type { AuditStore, Challenge } from '../store/index.ts'

/**
 * Records a wrong code of a login as a failed login, for unknown addresses too: they take the same time. The tries of a code
 * and the mails of an address are limited, so nobody can flood the audit.
 */
export function wrongCode(context: AuditRecordContext & { store: AuditStore }, caller: Caller) {
  return ({ userId }: Challenge): Promise<void> =>
    context.store.addAuditEvent(
      auditEvent(context, caller, 'login.failed', userId, { reason: 'wrong_code', by: BY_MAIL }),
    )
}
