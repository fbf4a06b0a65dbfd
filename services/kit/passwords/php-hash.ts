import { createHmac, timingSafeEqual } from 'node:crypto'
import { type ForeignHash, nativeCheck } from './foreign-kdf.ts'

const WORDPRESS = /^\$wp(\$2y\$.*)$/s
const PHPASS = /^\$[PH]\$([./0-9A-Za-z])([./0-9A-Za-z]{8})([./0-9A-Za-z]{22})$/
const ALPHABET = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
/** phpass's own least; WordPress has 13. */
const ROUNDS_LOG_MIN = 7
/** A twentieth of a second. phpass itself would take 30, which is minutes. */
const ROUNDS_LOG_MAX = 18
const ROUNDS_PER_SECOND = 4_000_000
/** Rounds without a break: a fraction of a millisecond. */
const ROUNDS_AT_ONCE = 1024
const MD5_BYTES = 16

/**
 * Reads a hash of WordPress: `$wp$2y$…` since 6.8, before that the portable one of phpass (`$P$…`; `$H$…` in phpBB).
 * @returns undefined as `foreignHash`
 */
export function phpHash(text: string): ForeignHash | undefined {
  return nativeCheck(WORDPRESS.exec(text)?.[1], (password) => formsOf(password).map(preHashed)) ?? phpassHash(text)
}

/**
 * What a hash is made of: in WordPress a password without the blanks around it (PHP's `trim`), and with a backslash
 * before each quote, as WordPress gets it from a form; in phpBB what was typed. Of most passwords these are one.
 */
function formsOf(password: string): string[] {
  const trimmed = password.replace(/^[ \n\r\t\v\0]+|[ \n\r\t\v\0]+$/g, '')
  const slashed = trimmed.replaceAll(/['"\\]/g, '\\$&')
  return [...new Set([slashed, trimmed, password])]
}

function preHashed(password: string): string {
  return createHmac('sha384', 'wp-sha384').update(password).digest('base64')
}

/** MD5, again and again: of the salt and the password, then of what came of it and the password. */
function phpassHash(text: string): ForeignHash | undefined {
  const [, cost, salt, encoded] = PHPASS.exec(text) ?? []
  if (cost === undefined || salt === undefined || encoded === undefined) return undefined
  const log = ALPHABET.indexOf(cost)
  if (log < ROUNDS_LOG_MIN || log > ROUNDS_LOG_MAX) return undefined
  const hash = decoded(encoded)
  if (!hash) return undefined
  return {
    seconds: 2 ** log / ROUNDS_PER_SECOND,
    async matches(password) {
      for (const form of formsOf(password))
        if (timingSafeEqual(await stretched(Buffer.from(form), Buffer.from(salt), 2 ** log), hash)) return true
      return false
    },
  }
}

/** Nothing of the platform does this on another thread; a round costs 0.2 µs, and between slices others have their turn. */
async function stretched(password: Buffer, salt: Buffer, rounds: number): Promise<Uint8Array> {
  const input = Buffer.concat([Buffer.alloc(MD5_BYTES), password])
  const digest = input.subarray(0, MD5_BYTES)
  digest.set(Bun.MD5.hash(Buffer.concat([salt, password])) as Uint8Array)
  for (let round = 0; round < rounds; round++) {
    if (round % ROUNDS_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve))
    digest.set(Bun.MD5.hash(input) as Uint8Array)
  }
  return digest
}

/** Six bits a character, the lowest first. Nothing where the last character has stray bits. */
function decoded(text: string): Buffer | undefined {
  const bytes = Buffer.alloc(MD5_BYTES)
  let bits = 0
  let held = 0
  let at = 0
  for (const character of text) {
    held |= ALPHABET.indexOf(character) << bits
    bits += 6
    if (bits >= 8 && at < MD5_BYTES) {
      bytes[at++] = held & 0xff
      held >>= 8
      bits -= 8
    }
  }
  return held === 0 ? bytes : undefined
}
