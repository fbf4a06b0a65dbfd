import { pbkdf2, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { BCRYPT, BCRYPT_COST_TAKEN, BCRYPT_READS, nativeSeconds } from './native-hash.ts'

// What the hashes of other systems are made of, with what a check of one may cost.

/** A hash of a kind that is checked here and never made. */
export interface ForeignHash {
  /** What a check takes of a core, about. */
  seconds: number
  /**
   * Whether it was made of `password`, byte by byte: in which form of Unicode is the caller's to try. The work is done
   * off the event loop, or in slices between which others have their turn.
   */
  matches(password: string): Promise<boolean>
}

/**
 * Iterations, each as often as the hash has blocks, by what one costs: two seconds of a core. Keycloak's 1,300,000 of
 * sha1 for 64 bytes are within.
 */
const PBKDF2_WORK_MAX = 6_000_000
const PBKDF2_WORK_PER_SECOND = PBKDF2_WORK_MAX / 2
/** As OWASP's first choice for scrypt (N = 2^17, r = 8) takes. */
const SCRYPT_MEMORY_MAX = 128 * 1024 * 1024
/** Memory, each as often as it is filled: about half a second of a core. */
const SCRYPT_WORK_MAX = 2 * SCRYPT_MEMORY_MAX
const SCRYPT_WORK_PER_SECOND = 2 * SCRYPT_WORK_MAX
/** Shorter ones match too much. */
export const HASH_BYTES_MIN = 16
export const HASH_BYTES_MAX = 128
export const SALT_BYTES_MAX = 128

const BLOCK_BYTES = { sha1: 20, sha256: 32, sha512: 64 } as const
const ITERATION_COSTS = { sha1: 1, sha256: 1, sha512: 3 } as const

export type Pbkdf2Digest = keyof typeof BLOCK_BYTES

const pbkdf2Async = promisify(pbkdf2)
export const scryptAsync = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt)

/** PBKDF2 (RFC 8018). @returns undefined where a part is missing, or a check would cost too much */
export function pbkdf2Check(
  digest: Pbkdf2Digest,
  iterations: number,
  salt: Buffer | undefined,
  hash: Buffer | undefined,
): ForeignHash | undefined {
  if (!salt || !hash) return undefined
  const work = iterations * Math.ceil(hash.length / BLOCK_BYTES[digest]) * ITERATION_COSTS[digest]
  if (iterations < 1 || work > PBKDF2_WORK_MAX) return undefined
  return {
    seconds: work / PBKDF2_WORK_PER_SECOND,
    matches: async (password) =>
      timingSafeEqual(await pbkdf2Async(password, salt, iterations, hash.length, digest), hash),
  }
}

/** scrypt (RFC 7914). @returns undefined as `pbkdf2Check` */
export function scryptCheck(
  options: ScryptCost | undefined,
  salt: Buffer | undefined,
  hash: Buffer | undefined,
): ForeignHash | undefined {
  if (!salt || !hash || !options) return undefined
  return {
    seconds: scryptSeconds(options),
    matches: async (password) => timingSafeEqual(await scryptAsync(password, salt, hash.length, options), hash),
  }
}

type ScryptCost = Record<'N' | 'r' | 'p' | 'maxmem', number>

export function scryptSeconds({ N, r, p }: ScryptCost): number {
  return (128 * N * r * p) / SCRYPT_WORK_PER_SECOND
}

/** @param ln the logarithm of N to the base 2 */
export function scryptOptions(ln: number, r: number, p: number): ScryptCost | undefined {
  const memory = 128 * r * 2 ** ln
  // N is bounded by r as well (RFC 7914, section 6).
  if (!(ln >= 1 && ln < 16 * r && p >= 1)) return undefined
  if (memory > SCRYPT_MEMORY_MAX || memory * p > SCRYPT_WORK_MAX) return undefined
  return { N: 2 ** ln, r, p, maxmem: 2 * SCRYPT_MEMORY_MAX }
}

/**
 * A hash of bcrypt or argon2 in what another system wraps it in.
 * @param made what that system gives to it of a password; the first that matches counts
 * @returns undefined for any other hash, and for one whose check would cost too much
 */
export function nativeCheck(
  hash: string | undefined,
  made: (password: string) => (string | Buffer)[] = (password) => [password],
): ForeignHash | undefined {
  const seconds = hash === undefined ? undefined : nativeSeconds(hash, BCRYPT_COST_TAKEN)
  if (hash === undefined || seconds === undefined) return undefined
  // Bun itself would first hash what is longer.
  const read = (form: string | Buffer) => (BCRYPT.test(hash) ? Buffer.from(form).subarray(0, BCRYPT_READS) : form)
  return {
    seconds,
    async matches(password) {
      for (const form of made(password))
        if (form.length > 0 && (await Bun.password.verify(read(form), hash))) return true
      return false
    },
  }
}

/** What a text in base64 says, if that is of a length between the two and written in the one way it can be. */
export function bytes(text: string | undefined, least: number, most: number): Buffer | undefined {
  if (text === undefined) return undefined
  const read = Buffer.from(text, 'base64')
  const written = read.toString('base64')
  if (text !== written && text !== written.replaceAll('=', '')) return undefined
  return read.length >= least && read.length <= most ? read : undefined
}
