import { type AuditEvent, USER_ERASED } from '../../kit/outbox/audit.ts'

/** The type of the row that says that an erasure is complete. */
export const ERASURE_COMPLETED = 'erasure.completed'

/** The parts of a row of the audit: where the request came from (ip, request id), and the detail. */
export interface Parts {
  origin: boolean
  detail: boolean
}

/** Others who act on accounts: their rows show where they were, not where the user was. */
const OTHERS = /^(operator|cli|client:.*|user:.*)$/

/**
 * Decides which parts of a row are about an erased user. What others did to the user stays as a record of who did it from
 * where, without its detail; what the user did to others stays without where they were.
 */
export function partsAbout(
  { actor, type, userId }: Pick<AuditEvent, 'actor' | 'type' | 'userId'>,
  erased: string,
): Parts {
  const isAbout = userId === erased && type !== USER_ERASED && type !== ERASURE_COMPLETED
  const isBy = actor === `user:${erased}`
  return { origin: isBy || (isAbout && !OTHERS.test(actor)), detail: isAbout }
}
