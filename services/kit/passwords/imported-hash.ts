import { createCipheriv, scryptSync, timingSafeEqual } from 'node:crypto'
import { parseDjangoHash } from './django-hash.ts'
import {
  decodeBase64,
  HASH_BYTES_MAX,
  HASH_BYTES_MIN,
  type ImportedHash,
  type Pbkdf2Digest,
  pbkdf2Check,
  SALT_BYTES_MAX,
  scryptCheck,
  scryptOptions,
  scryptSeconds,
} from './key-derivation.ts'
import { parsePhpHash } from './php-hash.ts'
import { parseSpringHash } from './spring-hash.ts'

/** Bytes of the signer key in the settings of a Firebase project. */
const SIGNER_KEY_BYTES_MAX = 128

const BASE64 = '([A-Za-z0-9+/]{1,172}={0,2})'
const PBKDF2 = new RegExp(`^\\$pbkdf2-(sha1|sha256|sha512)\\$i=(\\d{1,8})(?:,l=(\\d{1,3}))?\\$${BASE64}\\$${BASE64}$`)
const SCRYPT = new RegExp(`^\\$scrypt\\$ln=(\\d{1,2}),r=(\\d{1,3}),p=(\\d{1,2})\\$${BASE64}\\$${BASE64}$`)
const FIREBASE = new RegExp(
  `^\\$fbscrypt\\$v=1,n=(\\d{1,2}),r=(\\d{1,3}),p=(\\d{1,2})(?:,ss=${BASE64})?,sk=${BASE64}\\$${BASE64}\\$${BASE64}$`,
)
/** The derived key is an AES-256 key: Firebase encrypts its signer key with it. */
const FIREBASE_KEY_BYTES = 32

/**
 * Reads a hash that another system made:
 * - `$pbkdf2-<sha1|sha256|sha512>$i=<iterations>[,l=<bytes>]$<salt>$<hash>`, for Keycloak and Auth0
 * - `$scrypt$ln=<log2 N>,r=<r>,p=<p>$<salt>$<hash>` (RFC 7914)
 * - `$fbscrypt$v=1,n=<log2 N>,r=<rounds>,p=<p>[,ss=<salt separator>],sk=<signer key>$<salt>$<hash>`, for Firebase,
 *   in the format of Supabase
 * - the formats of Django, Spring Security, WordPress and phpBB
 *
 * The first three encode bytes in base64 (RFC 4648, section 4), with or without padding.
 * @returns undefined for any other text, and for a hash that would cost too much to check
 */
export function parseImportedHash(hash: string): ImportedHash | undefined {
  return (
    parsePbkdf2(hash) ??
    parseScrypt(hash) ??
    parseFirebase(hash) ??
    parseDjangoHash(hash) ??
    parseSpringHash(hash) ??
    parsePhpHash(hash)
  )
}

function parsePbkdf2(text: string): ImportedHash | undefined {
  const [, digest, i, l, saltText, hashText] = PBKDF2.exec(text) ?? []
  const hash = decodeBase64(hashText, HASH_BYTES_MIN, HASH_BYTES_MAX)
  if (l !== undefined && Number(l) !== hash?.length) return undefined
  return pbkdf2Check(digest as Pbkdf2Digest, Number(i), decodeBase64(saltText, 1, SALT_BYTES_MAX), hash)
}

function parseScrypt(text: string): ImportedHash | undefined {
  const [, ln, r, p, saltText, hashText] = SCRYPT.exec(text) ?? []
  const hash = decodeBase64(hashText, HASH_BYTES_MIN, HASH_BYTES_MAX)
  return scryptCheck(scryptOptions(Number(ln), Number(r), Number(p)), decodeBase64(saltText, 1, SALT_BYTES_MAX), hash)
}

/** A Firebase hash is the project's signer key, encrypted with the key that scrypt derives from the password. */
function parseFirebase(text: string): ImportedHash | undefined {
  const [, n, r, p, separatorText, signerText, saltText, hashText] = FIREBASE.exec(text) ?? []
  const separator = separatorText === undefined ? Buffer.alloc(0) : decodeBase64(separatorText, 1, SALT_BYTES_MAX)
  const signerKey = decodeBase64(signerText, HASH_BYTES_MIN, SIGNER_KEY_BYTES_MAX)
  const salt = decodeBase64(saltText, 1, SALT_BYTES_MAX)
  const hash = decodeBase64(hashText, HASH_BYTES_MIN, SIGNER_KEY_BYTES_MAX)
  const options = scryptOptions(Number(n), Number(r), Number(p))
  if (!separator || !signerKey || !salt || !hash || !options || hash.length !== signerKey.length) return undefined
  return {
    seconds: scryptSeconds(options),
    matches(password) {
      const key = scryptSync(password, Buffer.concat([salt, separator]), FIREBASE_KEY_BYTES, options)
      const encrypted = createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(signerKey)
      return timingSafeEqual(encrypted, hash)
    },
  }
}
