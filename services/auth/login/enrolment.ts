import { secondFactorMissing } from '../../kit/access/recent.ts'
import type { Caller } from '../../kit/caller.ts'
import { invalidField, Problem } from '../../kit/problem.ts'
import type { Config } from '../../kit/process/config.ts'
import type { AuthMethod } from '../../kit/tokens/access-token.ts'
import { type RecentContext, requireRecentUser } from '../assurance/recent.ts'
import { auditEvent } from '../audit/record.ts'
import type { FactorRead } from '../factors/factors.ts'
import type { PasskeysContext } from '../factors/passkeys.ts'
import { hashesOfRecoveryCodes, newRecoveryCodes } from '../factors/recovery-codes.ts'
import type { SessionWithTokens } from '../sessions/sessions.ts'
import type { Account, Challenge, Enrolment, EnrolmentResult, WaitingLogin } from '../store/index.ts'
import { type EntryContext, enter } from './enter.ts'
import { finishLogin, type SecondFactorContext } from './second-factor.ts'

/** How many factors a user may have. */
const FACTORS_MAX = 20

export type EnrolmentContext = EntryContext &
  PasskeysContext &
  RecentContext &
  SecondFactorContext & { config: Pick<Config, 'productName'> }

/** The user who adds a factor: one in a session, or one whose login waits for it. */
export interface Enroller {
  account: Account
  waiting: { challenge: Challenge; login: WaitingLogin } | null
}

/** A factor that was added. `opened`: the session of the login that waited for it. */
export interface Enrolled {
  factor: FactorRead
  recoveryCodes: string[] | null
  opened: SessionWithTokens | null
}

/**
 * Finds who adds a factor.
 * @param challengeId of a login that waits for an enrolment; without it the caller's session
 * @throws Problem `invalid_challenge`, `missing_token`, `token_revoked`, `reauthentication_required`, `email_not_verified`
 */
export async function enrollerOf(
  context: EnrolmentContext,
  challengeId: string | undefined,
  caller: Caller,
): Promise<Enroller> {
  const enroller =
    challengeId === undefined ? await userEnrolling(context, caller) : await loginEnrolling(context, challengeId)
  // Otherwise someone who registers with another's address could keep its owner out.
  if (!enroller.account.emailVerified) throw new Problem('email_not_verified')
  return enroller
}

async function userEnrolling(context: EnrolmentContext, caller: Caller): Promise<Enroller> {
  if (caller.userId === null) throw new Problem('missing_token')
  await requireRecentUser(context, caller)
  const account = await context.store.accountById(caller.userId)
  if (!account) throw new Problem('token_revoked')
  return { account, waiting: null }
}

async function loginEnrolling({ clock, store }: EnrolmentContext, challengeId: string): Promise<Enroller> {
  const challenge = await store.openedChallenge(challengeId, 'factor_enrolment', clock.now())
  const account = challenge && (await store.accountById(challenge.userId ?? ''))
  const login = challenge?.data.login
  if (!challenge || !account || !login || account.sessionsFrom > login.version) throw new Problem('invalid_challenge')
  // Another login has added one since: this one must show it, and may be that of someone who has stolen the password.
  if ((await store.secondFactorMethods(account.userId)).length > 0) throw new Problem('invalid_challenge')
  return { account, waiting: { challenge, login } }
}

/** A factor that its user has just shown. */
export interface NewFactor {
  /** When it is added, in milliseconds since the epoch. */
  now: number
  factor: Enrolment['factor']
  read: FactorRead
  /** The methods that the session gains. */
  methods: readonly AuthMethod[]
}

/**
 * Stores a factor, tells the user, and completes the login that waits for it.
 * @throws Problem `invalid_challenge` or `token_revoked` when the login or the session has ended, `invalid_credentials` for
 * a challenge that was used, `validation_failed` for a passkey that exists, `forbidden` for too many factors; what `enter`
 * throws
 */
export async function enrol(
  context: EnrolmentContext,
  { account, waiting }: Enroller,
  { factor, methods, now, read: added }: NewFactor,
  caller: Caller,
): Promise<Enrolled> {
  const { config, notices, random, store } = context
  const { userId } = account
  const codes = newRecoveryCodes(random)
  const needsFactor = config.reauthMaxAge !== undefined
  const by = waiting ? { version: waiting.login.version } : { sessionId: caller.sessionId ?? '', methods, needsFactor }
  const event = auditEvent(context, caller, 'factor.added', userId, { factor_id: added.id, kind: added.kind })
  const outcome = await store.enrol(
    { userId, factor, recoveryCodes: hashesOfRecoveryCodes(userId, codes), by, now, most: FACTORS_MAX },
    event,
  )
  if (outcome !== 'added' && outcome !== 'first') throw refusal(outcome, waiting !== null)
  await notices.add(account, added.kind === 'totp' ? 'totp_added' : 'passkey_added', caller)
  const opened = waiting && (await completeWaiting(context, { account, waiting }, methods, caller))
  return { factor: added, recoveryCodes: outcome === 'first' ? codes : null, opened }
}

async function completeWaiting(
  context: EnrolmentContext,
  { account, waiting }: { account: Account; waiting: NonNullable<Enroller['waiting']> },
  methods: readonly AuthMethod[],
  caller: Caller,
): Promise<SessionWithTokens> {
  const { challenge, login } = waiting
  const { id } = challenge
  if (!(await context.store.takeChallenge({ id }, 'factor_enrolment', context.clock.now())))
    throw new Problem('invalid_challenge')
  const proof = { account, methods: [...login.methods, ...methods], isDeviceKnown: true }
  return await finishLogin(context, id, () => enter(context, proof, caller, login.kind))
}

function refusal(outcome: Exclude<EnrolmentResult, 'added' | 'first'>, isLogin: boolean): Problem {
  switch (outcome) {
    case 'gone':
      return new Problem(isLogin ? 'invalid_challenge' : 'token_revoked')
    case 'unproved':
      return secondFactorMissing()
    case 'replayed':
      return new Problem('invalid_credentials')
    case 'taken':
      return invalidField('credential', { code: 'taken', message: 'is a passkey already' })
    case 'too_many':
      return new Problem('forbidden', { message: `At most ${FACTORS_MAX} second factors: remove one first` })
  }
}
