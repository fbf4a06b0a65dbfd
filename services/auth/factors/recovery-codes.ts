import { createHash } from 'node:crypto'
import type { Random } from '../../kit/random.ts'
import { toBase32 } from './totp.ts'

/** How many codes a set has. */
const RECOVERY_CODES = 10
/** 120 bits: nobody can guess one, so its hash needs no salt and no slow function. */
const BYTES = 15
const GROUP = /.{4}/g

/** Makes a set of recovery codes, in groups of four letters and digits that are hard to confuse. */
export function newRecoveryCodes(random: Pick<Random, 'bytes'>): string[] {
  return Array.from({ length: RECOVERY_CODES }, () => {
    const letters = toBase32(random.bytes(BYTES)).toLowerCase()
    return (letters.match(GROUP) ?? []).join('-')
  })
}

/** The letters of a recovery code as someone typed it; null: it has not the form of one. */
function lettersOf(typed: string): string | null {
  const letters = typed.replaceAll(/[\s-]/g, '').toLowerCase()
  return /^[a-z2-7]{24}$/.test(letters) ? letters : null
}

/**
 * Returns what is stored of a recovery code. Capital letters, blanks and hyphens do not count.
 * @returns null for text that has not the form of a code
 */
export function hashOfRecoveryCode(userId: string, typed: string): Buffer | null {
  const letters = lettersOf(typed)
  return letters === null ? null : createHash('sha256').update(`recovery ${userId} ${letters}`).digest()
}

/** Returns what is stored of a set. */
export function hashesOfRecoveryCodes(userId: string, codes: readonly string[]): Buffer[] {
  return codes.map((code) => hashOfRecoveryCode(userId, code)).filter((hash) => hash !== null)
}
