import type { Caller } from '../../kit/caller.ts'
import { Problem } from '../../kit/problem.ts'
import { type AssurancePolicy, type Decision, decide, type Proof } from '../assurance/decision.ts'
import { auditEvent } from '../audit/record.ts'
import { type ChallengeRequestContext, LIFETIMES, openLoginChallenge, requestChallenge } from '../challenges/request.ts'
import { openSession, type SessionsContext, type SessionWithTokens } from '../sessions/sessions.ts'
import type {
  AuditStore,
  ChallengeStore,
  FactorStore,
  SecondFactorMethod,
  SessionKind,
  WaitingLogin,
} from '../store/index.ts'

export type EntryContext = SessionsContext &
  ChallengeRequestContext & {
    store: AuditStore & ChallengeStore & Pick<FactorStore, 'secondFactorMethods'>
    config: AssurancePolicy
  }

/**
 * Opens a session for someone who has proved enough; otherwise asks for what is missing. Every way in ends here.
 * @param kind the form of the refresh token
 * @param factors the second factors of the account, if they were just read
 * @throws Problem `account_disabled`; `email_not_verified` and `device_confirmation_required`, each with the challenge of
 * the mail that was sent; `rate_limited` when too many were; `second_factor_required` and
 * `second_factor_enrolment_required`, each with the challenge that the next step names
 */
export async function enter(
  context: EntryContext,
  proof: Proof,
  caller: Caller,
  kind: SessionKind,
  factors?: SecondFactorMethod[],
): Promise<SessionWithTokens> {
  const { account } = proof
  if (account.status === 'disabled') {
    const detail = { reason: 'account_disabled' }
    await context.store.addAuditEvent(auditEvent(context, caller, 'login.failed', account.userId, detail))
    throw new Problem('account_disabled')
  }
  const methods = factors ?? (await context.store.secondFactorMethods(account.userId))
  const decision = decide(context.config, { ...proof, hasSecondFactor: methods.length > 0 }, caller.way)
  if (decision.next === 'complete') return openSession(context, decision.entry, caller, kind)
  throw await nextStep(context, { ...proof, kind, next: decision.next, factors: methods }, caller)
}

/** A way in of which a step is missing. */
interface Interrupted extends Proof {
  kind: SessionKind
  next: Exclude<Decision['next'], 'complete'>
  factors: SecondFactorMethod[]
}

/** Prepares the next step. @returns the problem that asks for it @throws Problem `rate_limited` */
async function nextStep(context: EntryContext, interrupted: Interrupted, caller: Caller): Promise<Problem> {
  const { account, deviceId, factors, kind, methods, next } = interrupted
  const login: WaitingLogin = {
    kind,
    methods: [...methods],
    version: account.version,
    ...(deviceId !== undefined && { deviceId }),
  }
  const waiting = { address: account.email, userId: account.userId, login }
  if (next === 'verify_email') {
    const challenge_id = await askToVerify(context, interrupted, caller)
    return new Problem('email_not_verified', { details: { challenge_id } })
  }
  if (next === 'second_factor') {
    const challenge = await openLoginChallenge(context, 'second_factor', waiting)
    return new Problem('second_factor_required', { details: { ...challenge, methods: factors } })
  }
  if (next === 'enrol_factor')
    return new Problem('second_factor_enrolment_required', {
      details: await openLoginChallenge(context, 'factor_enrolment', waiting),
    })
  const challenge_id = await requestChallenge(
    context,
    {
      purpose: 'device',
      address: account.email,
      userId: account.userId,
      data: { login },
      limited: 'after the password',
    },
    caller,
  )
  return new Problem('device_confirmation_required', {
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
