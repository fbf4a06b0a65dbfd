import { createCipheriv, timingSafeEqual } from 'node:crypto'
import { djangoHash } from './django-hash.ts'
import {
  bytes,
  type ForeignHash,
  HASH_BYTES_MAX,
  HASH_BYTES_MIN,
  type Pbkdf2Digest,
  pbkdf2Check,
  SALT_BYTES_MAX,
  scryptAsync,
  scryptCheck,
  scryptOptions,
  scryptSeconds,
} from './foreign-kdf.ts'
import { phpHash } from './php-hash.ts'
import { springHash } from './spring-hash.ts'

/** Of a Firebase project, as its settings have it. */
const SIGNER_KEY_BYTES_MAX = 128

const BASE64 = '([A-Za-z0-9+/]{1,172}={0,2})'
const PBKDF2 = new RegExp(`^\\$pbkdf2-(sha1|sha256|sha512)\\$i=(\\d{1,8})(?:,l=(\\d{1,3}))?\\$${BASE64}\\$${BASE64}$`)
const SCRYPT = new RegExp(`^\\$scrypt\\$ln=(\\d{1,2}),r=(\\d{1,3}),p=(\\d{1,2})\\$${BASE64}\\$${BASE64}$`)
const FIREBASE = new RegExp(
  `^\\$fbscrypt\\$v=1,n=(\\d{1,2}),r=(\\d{1,3}),p=(\\d{1,2})(?:,ss=${BASE64})?,sk=${BASE64}\\$${BASE64}\\$${BASE64}$`,
)
/** Firebase encrypts its signer key with AES-256: the derived key is as long as that wants it. */
const FIREBASE_KEY_BYTES = 32

/**
 * Reads a hash that another system made:
 * - `$pbkdf2-<sha1|sha256|sha512>$i=<iterations>[,l=<bytes>]$<salt>$<hash>`, as Keycloak's and Auth0's
 * - `$scrypt$ln=<log2 N>,r=<r>,p=<p>$<salt>$<hash>` (RFC 7914)
 * - `$fbscrypt$v=1,n=<log2 N>,r=<rounds>,p=<p>[,ss=<salt separator>],sk=<signer key>$<salt>$<hash>`, as Supabase writes
 *   Firebase's
 * - those of Django, of Spring Security, and of WordPress and phpBB, as they write them
 *
 * All bytes of the first three are in the base64 of RFC 4648, section 4, with its padding or without.
 * @returns undefined for any other, and for one whose check would cost too much
 */
export function foreignHash(hash: string): ForeignHash | undefined {
  return (
    pbkdf2Hash(hash) ?? scryptHash(hash) ?? firebaseHash(hash) ?? djangoHash(hash) ?? springHash(hash) ?? phpHash(hash)
  )
}

function pbkdf2Hash(text: string): ForeignHash | undefined {
  const [, digest, i, l, saltText, hashText] = PBKDF2.exec(text) ?? []
  const hash = bytes(hashText, HASH_BYTES_MIN, HASH_BYTES_MAX)
  if (l !== undefined && Number(l) !== hash?.length) return undefined
  return pbkdf2Check(digest as Pbkdf2Digest, Number(i), bytes(saltText, 1, SALT_BYTES_MAX), hash)
}

function scryptHash(text: string): ForeignHash | undefined {
  const [, ln, r, p, saltText, hashText] = SCRYPT.exec(text) ?? []
  const hash = bytes(hashText, HASH_BYTES_MIN, HASH_BYTES_MAX)
  return scryptCheck(scryptOptions(Number(ln), Number(r), Number(p)), bytes(saltText, 1, SALT_BYTES_MAX), hash)
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
