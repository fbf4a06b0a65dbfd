import { randomFillSync } from 'node:crypto'

const ALPHABET = './ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const SALT = 22
const DIGEST = 31
/** The last characters of both stand for fewer bits than the others: 2 and 4. */
const SALT_STEP = 16
const DIGEST_STEP = 4

const pool = Buffer.alloc(53 * 512)
let used = pool.length

/**
 * A bcrypt hash whose digest is random: no one knows a password for it, nor could find one. For users who never had a
 * password; they get one by a reset. It costs what a check of a real one costs, so a login tells nothing of the kind.
 */
export function unusableHash(): string {
  if (used + SALT + DIGEST > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  let hash = '$2b$10$'
  for (let n = 1; n <= SALT + DIGEST; n++) {
    const step = n === SALT ? SALT_STEP : n === SALT + DIGEST ? DIGEST_STEP : 1
    const value = (pool[used++] as number) % 64
    hash += ALPHABET.charAt(value - (value % step))
  }
  return hash
}
