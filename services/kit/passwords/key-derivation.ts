import { pbkdf2Sync, scryptSync, timingSafeEqual } from 'node:crypto'
import { BCRYPT, BCRYPT_BYTES_MAX, IMPORTED_BCRYPT_COST_MAX, nativeSeconds } from './native-hash.ts'

// The algorithms behind the hashes of other systems, with limits for the cost of a check.

/** A hash of another system. Ch202 checks such hashes and never creates them. */
export interface ImportedHash {
  /** The estimated time of a check, in seconds of a core. */
  seconds: number
  /**
   * Whether the hash was made from exactly these bytes; the caller tries the Unicode forms of a password. Takes `seconds`:
   * only a thread that hashes calls this.
   */
  matches(password: string): boolean
}

/**
 * The maximum of iterations × blocks of the hash × cost of an iteration: two seconds of a core. Keycloak's 1,300,000
 * iterations of sha1 for 64 bytes are within.
 */
const PBKDF2_WORK_MAX = 6_000_000
const PBKDF2_WORK_PER_SECOND = PBKDF2_WORK_MAX / 2
/** Bytes: the memory of OWASP's first choice for scrypt (N = 2^17, r = 8). */
const SCRYPT_MEMORY_MAX = 128 * 1024 * 1024
/** Bytes × the times they are filled: about half a second of a core. */
const SCRYPT_WORK_MAX = 2 * SCRYPT_MEMORY_MAX
const SCRYPT_WORK_PER_SECOND = 2 * SCRYPT_WORK_MAX
/** Shorter hashes match too many passwords. */
export const HASH_BYTES_MIN = 16
export const HASH_BYTES_MAX = 128
export const SALT_BYTES_MAX = 128

const BLOCK_BYTES = { sha1: 20, sha256: 32, sha512: 64 } as const
const ITERATION_COSTS = { sha1: 1, sha256: 1, sha512: 3 } as const

export type Pbkdf2Digest = keyof typeof BLOCK_BYTES

/** PBKDF2 (RFC 8018). @returns undefined when a part is missing or the check would cost too much */
export function pbkdf2Check(
  digest: Pbkdf2Digest,
  iterations: number,
  salt: Buffer | undefined,
  hash: Buffer | undefined,
): ImportedHash | undefined {
  if (!salt || !hash) return undefined
  const work = iterations * Math.ceil(hash.length / BLOCK_BYTES[digest]) * ITERATION_COSTS[digest]
  if (iterations < 1 || work > PBKDF2_WORK_MAX) return undefined
  return {
    seconds: work / PBKDF2_WORK_PER_SECOND,
    matches: (password) => timingSafeEqual(pbkdf2Sync(password, salt, iterations, hash.length, digest), hash),
  }
}

/** scrypt (RFC 7914). @returns undefined as `pbkdf2Check` */
export function scryptCheck(
  options: ScryptCost | undefined,
  salt: Buffer | undefined,
  hash: Buffer | undefined,
): ImportedHash | undefined {
  if (!salt || !hash || !options) return undefined
  return {
    seconds: scryptSeconds(options),
    matches: (password) => timingSafeEqual(scryptSync(password, salt, hash.length, options), hash),
  }
}

type ScryptCost = Record<'N' | 'r' | 'p' | 'maxmem', number>

/** The estimated time of scrypt, in seconds of a core. */
export function scryptSeconds({ N, r, p }: ScryptCost): number {
  return (128 * N * r * p) / SCRYPT_WORK_PER_SECOND
}

/** The parameters of scrypt. @param ln log2 of N @returns undefined when they are not valid or cost too much */
export function scryptOptions(ln: number, r: number, p: number): ScryptCost | undefined {
  const memory = 128 * r * 2 ** ln
  // r bounds N as well (RFC 7914, section 6).
  if (!(ln >= 1 && ln < 16 * r && p >= 1)) return undefined
  if (memory > SCRYPT_MEMORY_MAX || memory * p > SCRYPT_WORK_MAX) return undefined
  return { N: 2 ** ln, r, p, maxmem: 2 * SCRYPT_MEMORY_MAX }
}

/**
 * bcrypt or argon2, as another system uses them.
 * @param inputsOf the texts that the system may have hashed for a password; one that matches is enough
 * @returns undefined for any other hash, and when the check would cost too much
 */
export function nativeCheck(
  hash: string | undefined,
  inputsOf: (password: string) => (string | Buffer)[] = (password) => [password],
): ImportedHash | undefined {
  const seconds = hash === undefined ? undefined : nativeSeconds(hash, IMPORTED_BCRYPT_COST_MAX)
  if (hash === undefined || seconds === undefined) return undefined
  // Bun would hash a longer input first, which other systems do not.
  const truncate = (input: string | Buffer) =>
    BCRYPT.test(hash) ? Buffer.from(input).subarray(0, BCRYPT_BYTES_MAX) : input
  return {
    seconds,
    matches: (password) =>
      inputsOf(password).some((input) => input.length > 0 && Bun.password.verifySync(truncate(input), hash)),
  }
}

/** Decodes canonical base64, with or without padding. @returns undefined for any other text or length in bytes */
export function decodeBase64(text: string | undefined, least: number, most: number): Buffer | undefined {
  if (text === undefined) return undefined
  const decoded = Buffer.from(text, 'base64')
  const canonical = decoded.toString('base64')
  if (text !== canonical && text !== canonical.replaceAll('=', '')) return undefined
  return decoded.length >= least && decoded.length <= most ? decoded : undefined
}
