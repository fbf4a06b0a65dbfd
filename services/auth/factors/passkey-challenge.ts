import { timingSafeEqual } from 'node:crypto'
import { type Clock, MINUTE } from '../../kit/clock.ts'
import type { Random } from '../../kit/random.ts'
import type { Codes } from '../../kit/tokens/sealing.ts'

// Challenges of passkeys (WebAuthn 3, 13.4.3): 32 bytes that need no row before they are used, so that nobody fills the
// database by asking for them. Each is 4 bytes of time, 12 random ones, and a code over these and what it is for. One that
// was used is stored until it would have expired anyway.

/** How long a challenge can be answered, in milliseconds. */
export const PASSKEY_CHALLENGE_LIFE = 5 * MINUTE

const TIME_BYTES = 4
const RANDOM_BYTES = 12
const CODE_BYTES = 16
const HEAD_BYTES = TIME_BYTES + RANDOM_BYTES

export interface PasskeyChallengeContext {
  clock: Clock
  random: Random
  /** Codes of the challenges. */
  passkeyCodes: Codes
}

/** The use of a challenge: an answer to one of another purpose or subject is refused. */
export type PasskeyPurpose =
  /** A sign-in by anyone. */
  | { for: 'sign_in' }
  /** The second factor of a login. */
  | { for: 'second_factor'; challengeId: string }
  /** The repeated authentication of a user. */
  | { for: 'reauthentication'; userId: string }
  /** A new passkey of a user. */
  | { for: 'enrolment'; userId: string }

/** Makes a challenge of 32 bytes. */
export function newPasskeyChallenge({ clock, passkeyCodes, random }: PasskeyChallengeContext, purpose: PasskeyPurpose) {
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt32BE(Math.floor(clock.now() / 1000))
  head.set(random.bytes(RANDOM_BYTES), TIME_BYTES)
  return Buffer.concat([head, passkeyCodes.of(message(head, purpose)).subarray(0, CODE_BYTES)])
}

/**
 * Checks that a challenge is one of ours, for this purpose, and has not expired. Whether it was used is for the store.
 * @returns when it expires, in milliseconds since the epoch; null: it is not valid
 */
export function passkeyChallengeExpiry(
  { clock, passkeyCodes }: Omit<PasskeyChallengeContext, 'random'>,
  challenge: Uint8Array,
  purpose: PasskeyPurpose,
): number | null {
  if (challenge.length !== HEAD_BYTES + CODE_BYTES) return null
  const bytes = Buffer.from(challenge)
  const head = bytes.subarray(0, HEAD_BYTES)
  const codes = passkeyCodes.all(message(head, purpose)).map((code) => code.subarray(0, CODE_BYTES))
  if (!codes.some((code) => timingSafeEqual(code, bytes.subarray(HEAD_BYTES)))) return null
  const issuedAt = head.readUInt32BE() * 1000
  const now = clock.now()
  const expiresAt = issuedAt + PASSKEY_CHALLENGE_LIFE
  // A time ahead of the clock is that of another node, or the clock was set back.
  return now < expiresAt && issuedAt - now < PASSKEY_CHALLENGE_LIFE ? expiresAt : null
}

function message(head: Uint8Array, purpose: PasskeyPurpose): Buffer {
  const { for: use, ...subject } = purpose
  return Buffer.concat([head, Buffer.from(JSON.stringify([use, ...Object.values(subject)]))])
}
