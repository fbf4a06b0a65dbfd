import { createHash } from 'node:crypto'
import type { Caller } from '../../kit/caller.ts'
import { limitKey } from '../../kit/client-address.ts'
import { exactlyOne, type FieldError } from '../../kit/field-errors.ts'
import { BY_FACTOR } from '../../kit/login-verdict.ts'
import { invalid, Problem } from '../../kit/problem.ts'
import { type CodeContext, checkCode } from '../factors/check-code.ts'
import { type PasskeysContext, provePasskey } from '../factors/passkeys.ts'
import type { AuthenticationResponse } from '../factors/webauthn.ts'
import type { SessionWithTokens } from '../sessions/sessions.ts'
import type { Account, Challenge, ChallengeStore, WaitingLogin } from '../store/index.ts'
import { type EntryContext, enter } from './enter.ts'
import { deviceKey } from './identifier.ts'
import type { LoginLimits } from './limits.ts'
import { failedLogin } from './login.ts'

/** How often one login can try a second factor. */
const TRIES = 5

/** An answer to `second_factor_required`: exactly one of the two. */
export interface SecondFactorAnswer {
  challenge_id: string
  code?: string
  credential?: AuthenticationResponse
}

/** The errors of a body that does not have exactly one of the two. */
export function secondFactorErrors(body: object): FieldError[] {
  return exactlyOne(body, ['code', 'credential'])
}

export type SecondFactorContext = CodeContext &
  EntryContext &
  PasskeysContext & {
    store: ChallengeStore
    limits: Pick<LoginLimits, 'begin' | 'completed'>
  }

/** A login that waits, with its account; nulls if no such login waits, which the answer does not show. */
interface Waiting {
  challenge: Challenge | null
  account: Account | null
  login: WaitingLogin | null
}

/**
 * Completes a login by its second factor: a code of an app, a recovery code or a passkey. A wrong answer, an unknown login
 * and one that has expired or was tried too often get the same answer, after the same work.
 * @throws Problem `validation_failed` as `secondFactorErrors`; `invalid_code` and, for a passkey, `invalid_credentials`; `rate_limited` before a code is checked; what
 * `enter` throws
 */
export async function completeLogin(
  context: SecondFactorContext,
  answer: SecondFactorAnswer,
  caller: Caller,
): Promise<SessionWithTokens> {
  const errors = secondFactorErrors(answer)
  if (errors.length > 0) throw invalid(errors)
  const waiting = await tryLogin(context, answer.challenge_id)
  const { account, challenge, login } = waiting
  const { credential } = answer
  const methods = credential
    ? await byPasskey(context, waiting, credential, caller)
    : await byCode(context, waiting, answer, caller)
  const refused = new Problem(credential ? 'invalid_credentials' : 'invalid_code')
  if (!methods || !account || !challenge || !login) throw refused
  const { id } = challenge
  if (!(await context.store.takeChallenge({ id }, 'second_factor', context.clock.now()))) throw refused
  const proof = { account, methods: [...login.methods, ...methods], isDeviceKnown: true }
  return await finishLogin(context, id, () => enter(context, proof, caller, login.kind))
}

/** Ends the challenge of a login with its session. If no session opens, it can be answered again. */
export async function finishLogin<Opened>(
  { store }: { store: ChallengeStore },
  challengeId: string,
  open: () => Promise<Opened>,
): Promise<Opened> {
  let opened: Opened
  try {
    opened = await open()
  } catch (error) {
    await store.returnChallenge(challengeId)
    throw error
  }
  await store.finishChallenge(challengeId, null)
  return opened
}

/** Counts a try of a login, before its answer is checked. */
async function tryLogin({ clock, store }: SecondFactorContext, challengeId: string): Promise<Waiting> {
  const challenge = await store.tryCode(challengeId, 'second_factor', TRIES, clock.now())
  const account = await store.accountById(challenge?.userId ?? '')
  const login = challenge?.data.login
  // Its first step was checked against that version. A newer one may have another password.
  if (!challenge || !account || !login || account.sessionsFrom > login.version)
    return { challenge: null, account: null, login: null }
  return { challenge, account, login }
}

/** Checks a code within the limits of the account, or of the known device that the login comes from. */
async function byCode(
  context: SecondFactorContext,
  { account, login }: Waiting,
  { challenge_id, code = '' }: SecondFactorAnswer,
  caller: Caller,
) {
  const unknown = () => createHash('sha256').update(challenge_id).digest('base64url')
  const key = account && login ? keyOf(account, login) : unknown()
  const isRight = await checkLimitedCode(context, { account, key }, code, caller)
  return isRight ? (['otp', 'mfa'] as const) : null
}

/** The key by which failures of a login that waits are counted: that of its known device, or of the account. */
function keyOf(account: Account, { deviceId }: WaitingLogin): string {
  return deviceId === undefined ? account.userId : deviceKey(deviceId)
}

/**
 * Checks a code within the login limits, those of the address too: someone who has stolen many passwords must not guess at a
 * code of each, and nobody can fill the audit with codes for logins that do not exist.
 * @param account null: nobody; the code is wrong
 * @throws Problem `rate_limited`, `overloaded`
 */
export async function checkLimitedCode(
  context: CodeContext & { limits: Pick<LoginLimits, 'begin'> },
  { account, key }: { account: Account | null; key: string },
  code: string,
  caller: Caller,
): Promise<boolean> {
  const attempt = await context.limits.begin(key, caller.ip === null ? null : limitKey(caller.ip))
  let isRight: boolean
  try {
    isRight = await checkCode(context, account, code, caller)
  } catch (error) {
    attempt.abandoned()
    throw error
  }
  const failure = { userId: account?.userId ?? null, reason: 'wrong_code', by: BY_FACTOR }
  if (isRight) await attempt.succeeded()
  else await attempt.failed((lockouts) => failedLogin(context, failure, caller, lockouts))
  return isRight
}

/** Verifies a passkey of the account. Nobody can guess its answer: an account that is locked does not keep it out. */
async function byPasskey(
  context: SecondFactorContext,
  { account, challenge, login }: Waiting,
  credential: AuthenticationResponse,
  caller: Caller,
) {
  const purpose = { for: 'second_factor', challengeId: challenge?.id ?? '' } as const
  const proved = await provePasskey(context, credential, purpose, account?.userId ?? '', caller)
  if (proved.account) {
    // As a right code does: passwords that the user mistyped count no longer.
    if (login) await context.limits.completed(keyOf(proved.account, login))
    return proved.methods
  }
  if (account) await recordRefusal(context, { userId: account.userId, reason: proved.reason }, caller)
  return null
}

/** Records a passkey that was refused. Only those who have begun to log in can cause it, or know the id of a passkey. */
export async function recordRefusal(
  context: Pick<SecondFactorContext, 'clock' | 'random' | 'store'>,
  refusal: { userId: string; reason: string },
  caller: Caller,
): Promise<void> {
  const none = { account: 0, address: 0 }
  for (const event of failedLogin(context, refusal, caller, none)) await context.store.addAuditEvent(event)
}
