import { actsForOperators, mayChange, refuseClientFields, rolesKeptFromClients } from '../../kit/access/clients.ts'
import { mayHelp, protectedRoles } from '../../kit/access/support.ts'
import type { Caller } from '../../kit/caller.ts'
import { timestamp } from '../../kit/clock.ts'
import { errorOf, exactlyOne, excludedBy, type FieldError } from '../../kit/field-errors.ts'
import { invalid, Problem } from '../../kit/problem.ts'
import { OPERATOR_FIELDS, type UserRead } from '../../kit/schema/user.ts'
import type { RuleContext } from '../../kit/schema/validation.ts'
import { type RecentContext, requireRecentUser } from '../assurance/recent.ts'
import { type AuditRecordContext, auditEvent } from '../audit/record.ts'
import type { UsersPeer } from '../peers.ts'
import type { InvitationBody } from '../schemas/challenges.ts'
import { type ChallengeRequestContext, LIFETIMES, requestChallenge } from './request.ts'

export type InvitationContext = AuditRecordContext &
  RecentContext &
  ChallengeRequestContext & {
    users: Pick<UsersPeer, 'inviteUser' | 'user'>
  }

/**
 * The errors of an invitation that names no user, or gives fields to one who exists.
 * @throws Problem `forbidden_field` for a field that only an operator may set
 */
export function invitationErrors(sent: object, { caller }: Pick<RuleContext, 'caller'>): FieldError[] {
  refuseClientFields(sent, caller)
  const field = actsForOperators(caller) ? undefined : OPERATOR_FIELDS.find((name) => name in sent)
  if (field) throw new Problem('forbidden_field', { message: `Only an operator may set ${field}` })
  const errors = exactlyOne(sent, ['email', 'user_id'])
  if (errors.length > 0 || !('user_id' in sent)) return errors
  return Object.keys(sent).flatMap((name) => (name === 'user_id' ? [] : [errorOf(name, excludedBy('user_id'))]))
}

/**
 * Invites a new user, or one who has no password yet: queues a mail with a link by which they set one. An earlier link
 * becomes void.
 * @throws Problem `validation_failed` as `invitationErrors`; `email_taken` for a user with a password, `account_disabled`,
 * because such a user gets no mail; `user_not_found`, `username_taken`, `users_unavailable`; `reauthentication_required` to an
 * administrator who gives roles. For a support person a user whom they may not help is one with a password or one who does
 * not exist; `forbidden` to a client about an administrator.
 */
export async function invite(
  context: InvitationContext,
  body: InvitationBody,
  caller: Caller,
): Promise<{ user: UserRead; expires_at: string }> {
  const { clock } = context
  const errors = invitationErrors(body, { caller })
  if (errors.length > 0) throw invalid(errors)
  if (body.roles !== undefined) await requireRecentUser(context, caller)
  const user = await invitedUser(context, body, caller)
  if (user.status !== 'active') throw new Problem('account_disabled')
  const { email, id: userId, locale } = user
  const expiresAt = clock.now() + LIFETIMES.invitation.link
  // The user may have got a role meanwhile that only operators may act on.
  const withoutRoles = [...protectedRoles(caller), ...rolesKeptFromClients(caller)]
  const event = auditEvent(context, caller, 'user.invited', userId)
  const challenge = { purpose: 'invitation', address: email, userId, limited: 'not', withoutRoles, event } as const
  // The language of an operator's request says nothing about the invited user.
  await requestChallenge(context, challenge, { ip: caller.ip, requestId: caller.requestId, locale })
  return { user, expires_at: timestamp(expiresAt) }
}

async function invitedUser(
  { users }: InvitationContext,
  { email, user_id, ...fields }: InvitationBody,
  caller: Caller,
): Promise<UserRead> {
  const mayInvite = (user: UserRead) => {
    if (!mayChange(caller, user.roles)) throw new Problem('forbidden')
    return actsForOperators(caller) || mayHelp(caller, user.roles)
  }
  if (user_id === undefined) {
    const user = await users.inviteUser({ ...fields, email: email ?? '' }, caller)
    if (!mayInvite(user)) throw new Problem('email_taken')
    return user
  }
  const user = await users.user(user_id.toLowerCase(), caller.requestId)
  if (!user || !mayInvite(user)) throw new Problem('user_not_found')
  if (user.has_password) throw new Problem('email_taken', { message: 'The user has a password' })
  return user
}
