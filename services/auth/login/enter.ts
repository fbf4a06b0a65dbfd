import type { Caller } from '../../kit/caller.ts'
import { Problem } from '../../kit/problem.ts'
import { type AssurancePolicy, decide, type Proof } from '../assurance/decision.ts'
import { auditEvent } from '../audit/record.ts'
import { type ChallengeRequestContext, LIFETIMES, requestChallenge } from '../challenges/request.ts'
import { openSession, type SessionsContext, type SessionWithTokens } from '../sessions/sessions.ts'
import type { AuditStore, ChallengeStore, SessionKind } from '../store/index.ts'

export type EntryContext = SessionsContext &
  ChallengeRequestContext & {
    store: AuditStore & ChallengeStore
    config: AssurancePolicy
  }

/**
 * Opens a session for someone who has proved enough; otherwise asks for what is missing. Every way in ends here.
 * @param kind the form of the refresh token
 * @throws Problem `account_disabled`; `email_not_verified` and `device_confirmation_required`, each with the challenge of
 * the mail that was sent; `rate_limited` when too many were
 */
export async function enter(
  context: EntryContext,
  proof: Proof,
  caller: Caller,
  kind: SessionKind,
): Promise<SessionWithTokens> {
  const { account, methods } = proof
  if (account.status === 'disabled') {
    const detail = { reason: 'account_disabled' }
    await context.store.addAuditEvent(auditEvent(context, caller, 'login.failed', account.userId, detail))
    throw new Problem('account_disabled')
  }
  const decision = decide(context.config, proof, caller.way)
  if (decision.next === 'complete') return openSession(context, decision.entry, caller, kind)
  if (decision.next === 'verify_email')
    throw new Problem('email_not_verified', { details: { challenge_id: await askToVerify(context, proof, caller) } })
  const challenge_id = await requestChallenge(
    context,
    {
      purpose: 'device',
      address: account.email,
      userId: account.userId,
      data: { login: { kind, methods: [...methods], version: account.version } },
      limited: 'after the password',
    },
    caller,
  )
  throw new Problem('device_confirmation_required', {
    details: { challenge_id, expires_in: LIFETIMES.device.link / 1000 },
  })
}

/**
 * Sends a mail to verify the address, within the limits.
 * @returns the id of its challenge; beyond the limits that of the last mail, which can still be used
 */
async function askToVerify(context: EntryContext, { account }: Proof, caller: Caller): Promise<string> {
  const { email, userId } = account
  try {
    return await requestChallenge(
      context,
      { purpose: 'email_verification', address: email, userId, limited: 'after the password' },
      caller,
    )
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'rate_limited') throw error
    const last = await context.store.latestChallenge(userId, 'email_verification', context.clock.now())
    if (!last) throw error
    return last.id
  }
}
