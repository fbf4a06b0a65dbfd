import { createCipheriv, pbkdf2, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

/** A hash of a kind that is checked here and never made. */
export interface ForeignHash {
  /** What a check takes of a core, about. */
  seconds: number
  /**
   * Whether it was made of `password`, byte by byte: in which form of Unicode is the caller's to try. The work is done
   * off the event loop.
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
const HASH_BYTES_MIN = 16
const HASH_BYTES_MAX = 128
const SALT_BYTES_MAX = 128
/** Of a Firebase project, as its settings have it. */
const SIGNER_KEY_BYTES_MAX = 128

const BASE64 = '([A-Za-z0-9+/]{1,172}={0,2})'
const PBKDF2 = new RegExp(`^\\$pbkdf2-(sha1|sha256|sha512)\\$i=(\\d{1,8})(?:,l=(\\d{1,3}))?\\$${BASE64}\\$${BASE64}$`)
const SCRYPT = new RegExp(`^\\$scrypt\\$ln=(\\d{1,2}),r=(\\d{1,3}),p=(\\d{1,2})\\$${BASE64}\\$${BASE64}$`)
const FIREBASE = new RegExp(
  `^\\$fbscrypt\\$v=1,n=(\\d{1,2}),r=(\\d{1,3}),p=(\\d{1,2})(?:,ss=${BASE64})?,sk=${BASE64}\\$${BASE64}\\$${BASE64}$`,
)
const BLOCK_BYTES = { sha1: 20, sha256: 32, sha512: 64 } as const
const ITERATION_COSTS = { sha1: 1, sha256: 1, sha512: 3 } as const
/** Firebase encrypts its signer key with AES-256: the derived key is as long as that wants it. */
const FIREBASE_KEY_BYTES = 32

const pbkdf2Async = promisify(pbkdf2)
const scryptAsync = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt)

/**
 * Reads a hash that another system made:
 * - `$pbkdf2-<sha1|sha256|sha512>$i=<iterations>[,l=<bytes>]$<salt>$<hash>`, as Keycloak's and Auth0's
 * - `$scrypt$ln=<log2 N>,r=<r>,p=<p>$<salt>$<hash>` (RFC 7914)
 * - `$fbscrypt$v=1,n=<log2 N>,r=<rounds>,p=<p>[,ss=<salt separator>],sk=<signer key>$<salt>$<hash>`, as Supabase writes
 *   Firebase's
 *
 * All bytes are in the base64 of RFC 4648, section 4, with its padding or without.
 * @returns undefined for any other, and for one whose check would cost too much
 */
export function foreignHash(hash: string): ForeignHash | undefined {
  return pbkdf2Hash(hash) ?? scryptHash(hash) ?? firebaseHash(hash)
}

function pbkdf2Hash(text: string): ForeignHash | undefined {
  const [, digest, i, l, saltText, hashText] = PBKDF2.exec(text) ?? []
  const salt = bytes(saltText, 1, SALT_BYTES_MAX)
  const hash = bytes(hashText, HASH_BYTES_MIN, HASH_BYTES_MAX)
  if (!salt || !hash || (l !== undefined && Number(l) !== hash.length)) return undefined
  const iterations = Number(i)
  const kind = digest as keyof typeof BLOCK_BYTES
  const work = iterations * Math.ceil(hash.length / BLOCK_BYTES[kind]) * ITERATION_COSTS[kind]
  if (iterations < 1 || work > PBKDF2_WORK_MAX) return undefined
  return {
    seconds: work / PBKDF2_WORK_PER_SECOND,
    matches: async (password) =>
      timingSafeEqual(await pbkdf2Async(password, salt, iterations, hash.length, digest as string), hash),
  }
}

function scryptHash(text: string): ForeignHash | undefined {
  const [, ln, r, p, saltText, hashText] = SCRYPT.exec(text) ?? []
  const salt = bytes(saltText, 1, SALT_BYTES_MAX)
  const hash = bytes(hashText, HASH_BYTES_MIN, HASH_BYTES_MAX)
  const options = scryptOptions(Number(ln), Number(r), Number(p))
  if (!salt || !hash || !options) return undefined
  return {
    seconds: scryptSeconds(options),
    matches: async (password) => timingSafeEqual(await scryptAsync(password, salt, hash.length, options), hash),
  }
}

/** Firebase's own: the key that scrypt derives encrypts the signer key of the project, and that is the hash. */
function firebaseHash(text: string): ForeignHash | undefined {
  const [, n, r, p, separatorText, signerText, saltText, hashText] = FIREBASE.exec(text) ?? []
  const separator = separatorText === undefined ? Buffer.alloc(0) : bytes(separatorText, 1, SALT_BYTES_MAX)
  const signerKey = bytes(signerText, HASH_BYTES_MIN, SIGNER_KEY_BYTES_MAX)
  const salt = bytes(saltText, 1, SALT_BYTES_MAX)
  const hash = bytes(hashText, HASH_BYTES_MIN, SIGNER_KEY_BYTES_MAX)
  const options = scryptOptions(Number(n), Number(r), Number(p))
  if (!separator || !signerKey || !salt || !hash || !options || hash.length !== signerKey.length) return undefined
  return {
    seconds: scryptSeconds(options),
    async matches(password) {
      const key = await scryptAsync(password, Buffer.concat([salt, separator]), FIREBASE_KEY_BYTES, options)
      const made = createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(signerKey)
      return timingSafeEqual(made, hash)
    },
  }
}

type ScryptCost = Record<'N' | 'r' | 'p' | 'maxmem', number>

function scryptSeconds({ N, r, p }: ScryptCost): number {
  return (128 * N * r * p) / SCRYPT_WORK_PER_SECOND
}

/** @param ln the logarithm of N to the base 2 */
function scryptOptions(ln: number, r: number, p: number): ScryptCost | undefined {
  const memory = 128 * r * 2 ** ln
  // N is bounded by r as well (RFC 7914, section 6).
  if (!(ln >= 1 && ln < 16 * r && p >= 1)) return undefined
  if (memory > SCRYPT_MEMORY_MAX || memory * p > SCRYPT_WORK_MAX) return undefined
  return { N: 2 ** ln, r, p, maxmem: 2 * SCRYPT_MEMORY_MAX }
}

/** What a text in base64 says, if that is of a length between the two and written in the one way it can be. */
function bytes(text: string | undefined, least: number, most: number): Buffer | undefined {
  if (text === undefined) return undefined
  const read = Buffer.from(text, 'base64')
  const written = read.toString('base64')
  if (text !== written && text !== written.replaceAll('=', '')) return undefined
  return read.length >= least && read.length <= most ? read : undefined
}
