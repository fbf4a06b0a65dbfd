import type { Caller } from '../kit/caller.ts'
import { invalid } from '../kit/problem.ts'
import { emailKey } from '../kit/schema/email.ts'
import { type Change, NO_CHANGE, oneChange } from './change.ts'
import { allSessionsEnded, applyChange, changeBy } from './changes.ts'
import type { PasswordContext } from './context.ts'
import { visibleUser } from './lookup.ts'
import { newHash, passwordChange } from './passwords.ts'
import type { SyncedUser } from './peers.ts'
import { proofErrors } from './policy.ts'
import { syncedUser } from './present.ts'
import { onBehalfOf } from './requester.ts'
import type { Proof } from './schemas/internal.ts'
import type { User } from './store.ts'

/** The result of a proof: the record after it, or that the user has another address by now. */
export type ProofResult =
  | { outcome: 'proved'; record: SyncedUser; was_verified: boolean }
  | { outcome: 'email_changed' }

/**
 * Stores what follows from a mail that its recipient has answered, in one transaction. The first proof of an address that
 * was not verified ends what someone else may have set up with it: the earlier password and all sessions. A user who is
 * disabled stays so.
 * @throws Problem `user_not_found`, `email_taken`, `username_taken`, `validation_failed`, `weak_password`, `overloaded`
 */
export async function proveAddress(
  context: PasswordContext,
  id: string,
  { by, ...proof }: Proof,
  service: Caller,
): Promise<ProofResult> {
  const errors = proofErrors(context.config, proof)
  if (errors.length > 0) throw invalid(errors)
  const caller = onBehalfOf(service, by)
  const user = await visibleUser(context, id, caller)
  const { new_password, username = user.username, name = user.name } = proof
  const hash = new_password === undefined ? null : await newHash(context, { ...user, username, name }, new_password)
  let isCurrent = true
  let wasVerified = false
  const proved = await applyChange(context, user, caller, (latest) => {
    isCurrent = isStillCurrent(latest, proof)
    wasVerified = latest.emailVerified
    return isCurrent ? proofChange(latest, proof, hash) : NO_CHANGE
  })
  if (!isCurrent) return { outcome: 'email_changed' }
  return { outcome: 'proved', record: syncedUser(proved), was_verified: wasVerified }
}

/** The proofs that are void once the user has another address. */
const NEEDS_CURRENT = new Set<Proof['kind']>(['verification', 'email_code', 'reset', 'invitation'])

/**
 * Whether a proof is about the user as they are now. It may arrive just after another one: a change of the email that
 * someone else asked for must not follow the proof that ended their session.
 */
function isStillCurrent(user: User, { email, kind, sessions_from }: Omit<Proof, 'by'>): boolean {
  if (sessions_from !== undefined && user.sessionsFrom > sessions_from) return false
  return !NEEDS_CURRENT.has(kind) || hasEmail(user, email)
}

function hasEmail(user: User, email: string): boolean {
  return emailKey(user.email) === emailKey(email)
}

function proofChange(user: User, { email, kind, name, username }: Omit<Proof, 'by'>, hash: string | null): Change {
  switch (kind) {
    case 'verification':
      return verified(user, kind)
    case 'email_code':
      return user.emailVerified ? NO_CHANGE : oneChange(firstProof(user, kind), passwordRemoved(user, kind))
    case 'reset': {
      const password = passwordChange(user, hash, { type: 'password.reset', sessionKept: null })
      return oneChange(password, firstProof(user, kind))
    }
    case 'invitation': {
      const names = changeBy(user, { ...(username !== undefined && { username }), ...(name !== undefined && { name }) })
      const password = passwordChange(user, hash, { type: 'password.set_by_invitation', sessionKept: null })
      return oneChange(password, firstProof(user, kind), names)
    }
    case 'email_change':
      return { ...withEmail(user, email, 'email.changed'), emailBy: 'proof' }
    case 'undo':
      return { ...oneChange(withEmail(user, email, 'email.restored'), passwordRemoved(user, kind)), emailBy: 'undo' }
  }
}

/** The change of an address that was not verified before. */
function verified(user: User, by: Proof['kind']): Change {
  return user.emailVerified ? NO_CHANGE : { fields: { emailVerified: true }, audit: [['email.verified', { by }]] }
}

/**
 * The change of an address that was not verified before, proved by other means than the password: someone else may have
 * added second factors while they had the account.
 */
function firstProof(user: User, by: Proof['kind']): Change {
  return user.emailVerified
    ? NO_CHANGE
    : oneChange(verified(user, by), { fields: { factorsFrom: user.version + 1 }, audit: [] })
}

/** @param type of the audit row */
function withEmail(user: User, email: string, type: string): Change {
  if (email === user.email && user.emailVerified) return NO_CHANGE
  return { fields: { email, emailVerified: true }, audit: [[type, {}]] }
}

/** The end of everything by which someone could act as the user. */
function passwordRemoved(user: User, by: Proof['kind']): Change {
  return {
    fields: { passwordHash: null, ...allSessionsEnded(user) },
    audit: user.passwordHash === null ? [] : [['password.removed', { by }]],
  }
}
