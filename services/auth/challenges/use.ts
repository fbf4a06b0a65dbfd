import type { Clock } from '../../kit/clock.ts'
import { errorOf, exactlyOne, excludedBy, type FieldError, REQUIRED } from '../../kit/field-errors.ts'
import type { AuditEvent } from '../../kit/outbox/audit.ts'
import { invalid, Problem } from '../../kit/problem.ts'
import type { Codes } from '../../kit/tokens/sealing.ts'
import type { Challenge, ChallengePurpose, ChallengeStore } from '../store/index.ts'
import { hashOf, isCode, mailedAmong, secretsOf } from './secrets.ts'

export interface ChallengeUseContext {
  store: ChallengeStore
  clock: Clock
  /** Derives the codes and the tokens. */
  challengeCodes: Codes
}

/** Shows that a request comes from someone who reads the mail: the code, or the token of the link. */
export type MailProof = { challenge_id?: string; code?: string; token?: string }

/** The errors of a proof that is neither a code with its challenge nor a token. */
export function mailProofErrors(sent: { challenge_id?: unknown; code?: unknown; token?: unknown }): FieldError[] {
  const errors = exactlyOne(sent, ['code', 'token'])
  if (errors.length > 0) return errors
  if (sent.token === undefined) return sent.challenge_id === undefined ? [errorOf('challenge_id', REQUIRED)] : []
  return sent.challenge_id === undefined ? [] : [errorOf('challenge_id', excludedBy('token'))]
}

/** How often the code of one mail can be tried. */
const TRIES = 5

/** The result of using a challenge, and the row of the audit to write with its end. */
export interface Used<Result> {
  result: Result
  event: AuditEvent | null
}

/**
 * Uses a challenge once: of many requests at once, one gets it. When `use` throws, it can be used again.
 * @param use does what the challenge is for
 * @param onWrongCode is called before `invalid_code` is thrown
 * @throws Problem `validation_failed` as `mailProofErrors`; `invalid_challenge` for one that is unknown, used, expired,
 * void, of another purpose, or was tried too often; `invalid_code`; what `use` throws
 */
export async function useChallenge<Result>(
  context: ChallengeUseContext,
  purpose: ChallengePurpose,
  proof: MailProof,
  use: (challenge: Challenge) => Promise<Used<Result>>,
  onWrongCode?: (challenge: Challenge) => Promise<void>,
): Promise<Result> {
  const { clock, store } = context
  const errors = mailProofErrors(proof)
  if (errors.length > 0) throw invalid(errors)
  const key =
    proof.token === undefined
      ? await checkCode(context, purpose, { id: proof.challenge_id ?? '', code: proof.code ?? '' }, onWrongCode)
      : { tokenHash: hashOf(proof.token) }
  const challenge = await store.takeChallenge(key, purpose, clock.now())
  if (!challenge) throw new Problem('invalid_challenge')
  let used: Used<Result>
  try {
    used = await use(challenge)
  } catch (error) {
    await store.returnChallenge(challenge.id)
    throw error
  }
  await store.finishChallenge(challenge.id, used.event)
  return used.result
}

/** Compares a code. The try is counted before: guesses that arrive at once count too. */
async function checkCode(
  { challengeCodes, clock, store }: ChallengeUseContext,
  purpose: ChallengePurpose,
  { code, id }: { code: string; id: string },
  onWrongCode: ((challenge: Challenge) => Promise<void>) | undefined,
): Promise<{ id: string }> {
  const challenge = await store.tryCode(id, purpose, TRIES, clock.now())
  if (!challenge) throw new Problem('invalid_challenge')
  // Without a mail nobody can know a code. The work is the same: an unknown address answers like a known one, as fast.
  const derived = secretsOf(challengeCodes, challenge.mailId)
  const mailed = mailedAmong(derived, challenge)
  const isRight = isCode(code, (mailed ?? derived[0])?.code ?? '')
  if (mailed && isRight) return { id }
  await onWrongCode?.(challenge)
  throw new Problem('invalid_code')
}
