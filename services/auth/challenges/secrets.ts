import { createHash, timingSafeEqual } from 'node:crypto'
import type { Codes } from '../../kit/tokens/sealing.ts'
import type { Challenge } from '../store/index.ts'

/** 128 bits: the link fits on one line of the mail, also in a file. */
const TOKEN_BYTES = 16
const DIGITS = 6

/** The values that a mail contains. They are derived from its id, so that none is stored and each attempt has the same. */
export interface ChallengeSecrets {
  token: string
  tokenHash: Buffer
  code: string
}

/**
 * Derives the secrets of a mail from each value of CH202_SECRET. The first is for new mails.
 * @param mailId unguessable only together with CH202_SECRET
 */
export function secretsOf(codes: Codes, mailId: string): ChallengeSecrets[] {
  const tokens = codes.all(Buffer.from(mailId))
  const numbers = codes.all(Buffer.from(`code ${mailId}`))
  return tokens.map((bytes, index) => {
    const token = bytes.subarray(0, TOKEN_BYTES).toString('base64url')
    // 48 bits: the remainder of a million is as good as even.
    const number = (numbers[index]?.readUIntBE(0, 6) ?? 0) % 10 ** DIGITS
    return { token, tokenHash: hashOf(token), code: String(number).padStart(DIGITS, '0') }
  })
}

/** The secrets in the mail of a challenge; undefined: it has not been written yet, or its CH202_SECRET is gone. */
export function mailedSecrets(
  codes: Codes,
  challenge: Pick<Challenge, 'mailId' | 'tokenHash'>,
): ChallengeSecrets | undefined {
  return mailedAmong(secretsOf(codes, challenge.mailId), challenge)
}

/** Finds the secrets in the mail of a challenge among those derived for it, as `mailedSecrets`. */
export function mailedAmong(
  derived: readonly ChallengeSecrets[],
  { tokenHash }: Pick<Challenge, 'tokenHash'>,
): ChallengeSecrets | undefined {
  return tokenHash === null ? undefined : derived.find((each) => each.tokenHash.equals(tokenHash))
}

/** Returns the hash that is stored instead of a token. */
export function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

/** Compares a code in constant time. Blanks that a person types between the digits do not count. */
export function isCode(typed: string, code: string): boolean {
  const [a, b] = [typed.replaceAll(/\s/g, ''), code].map((text) => createHash('sha256').update(text).digest())
  return a !== undefined && b !== undefined && timingSafeEqual(a, b)
}
