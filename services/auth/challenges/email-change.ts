import type { Caller } from '../../kit/caller.ts'
import { Problem } from '../../kit/problem.ts'
import type { Config } from '../../kit/process/config.ts'
import type { UserRead } from '../../kit/schema/user.ts'
import { type RecentContext, requireRecentUser } from '../assurance/recent.ts'
import { auditEvent } from '../audit/record.ts'
import type { Notices } from '../mail/notices.ts'
import type { UsersPeer } from '../peers.ts'
import type { Challenge, ChallengeStore, DeviceStore, FactorStore } from '../store/index.ts'
import { type AddressProofContext, proveAddress } from './proof.ts'
import { type ChallengeRequestContext, requestChallenge } from './request.ts'
import { type ChallengeUseContext, type MailProof, useChallenge } from './use.ts'

export type EmailChangeContext = AddressProofContext &
  RecentContext &
  ChallengeRequestContext &
  ChallengeUseContext & {
    store: ChallengeStore & DeviceStore & FactorStore
    notices: Notices
    users: Pick<UsersPeer, 'passwordRecord' | 'user'>
    config: Pick<Config, 'reauthMaxAge'>
  }

/**
 * Queues a mail to a new address, which proves it. Nothing changes until then. A taken address gets the same answer and no
 * mail.
 * @returns the id of the challenge
 * @throws Problem `reauthentication_required`, `rate_limited`
 */
export async function requestEmailChange(
  context: EmailChangeContext,
  newEmail: string,
  caller: Caller & { userId: string },
): Promise<string> {
  await requireRecentUser(context, caller)
  const { userId } = caller
  return requestChallenge(
    context,
    { purpose: 'email_change', address: newEmail, userId, limited: 'by address' },
    caller,
  )
}

/**
 * Changes the email of the user who asked for it, by the code or the link that the new address received.
 * @throws Problem `invalid_challenge` also to any other user, `invalid_code`, `email_taken`, `users_unavailable`
 */
export async function confirmEmailChange(
  context: EmailChangeContext,
  proof: MailProof,
  caller: Caller & { userId: string },
): Promise<UserRead> {
  // Read first: what ends the caller's session after this voids the challenge, or is noticed by users.
  const before = await context.store.accountById(caller.userId)
  const account = await useChallenge(context, 'email_change', proof, async ({ address, userId }) => {
    if (userId !== caller.userId || !before) throw new Problem('invalid_challenge')
    const change = { kind: 'email_change', email: address, sessions_from: before.sessionsFrom } as const
    const { account } = await proveAddress(context, userId, change, caller)
    return { result: account, event: null }
  })
  await context.notices.add(account, 'email_changed', caller)
  const user = await context.users.user(account.userId, caller.requestId)
  if (!user) throw new Problem('invalid_challenge')
  return user
}

/**
 * Gives the earlier address back to its owner, who cannot know what someone else did since: every session ends, the
 * password, the known devices, the second factors that were added since and the links of later changes become void, and a
 * reset mail goes to the address.
 * @throws Problem `invalid_challenge`, `email_taken`, `users_unavailable`
 */
export async function undoEmailChange(context: EmailChangeContext, token: string, caller: Caller): Promise<void> {
  const { store } = context
  const undone = await useChallenge(context, 'email_undo', { token }, async (challenge) => {
    await restoreAddress(context, challenge, caller)
    // Only now: until their session has ended, someone else could add another one.
    if (challenge.userId !== null) {
      const event = auditEvent(context, caller, 'factors.removed', challenge.userId, { by: 'undo' })
      await store.removeFactors(challenge.userId, challenge.requestedAt, event)
    }
    return { result: challenge, event: null }
  })
  const { address, userId } = undone
  if (userId === null) return
  await store.removeDevices(userId)
  const reset = { purpose: 'password_reset', address, userId, limited: 'not' } as const
  await requestChallenge(context, reset, caller)
}

/** How often an undo is tried, when other links of the user are used at this moment. */
const ATTEMPTS = 5

/**
 * Gives the earlier address back. The links of later changes become void first: whoever uses one at this moment must not
 * have the last word. If sessions of the user end meanwhile, by such a link too, the undo is tried again.
 * @throws Problem `invalid_challenge` also when the link has become void
 */
async function restoreAddress(
  context: EmailChangeContext,
  { address, id, requestedAt, userId }: Challenge,
  caller: Caller,
): Promise<void> {
  const { store, users } = context
  if (userId === null) throw new Problem('invalid_challenge')
  await store.voidChallenges(userId, ['email_undo'], requestedAt + 1)
  for (let attempt = 1; ; attempt++) {
    const record = await users.passwordRecord(userId, caller.requestId)
    // Asked after the record was read: a link that voids this one ends sessions after that.
    if (!record || !(await store.hasChallenge(id))) throw new Problem('invalid_challenge')
    const undo = { kind: 'undo', email: address, sessions_from: record.password_version } as const
    try {
      await proveAddress(context, userId, undo, caller)
      return
    } catch (error) {
      const isLate = error instanceof Problem && error.code === 'invalid_challenge'
      if (!isLate || attempt === ATTEMPTS) throw error
    }
  }
}
