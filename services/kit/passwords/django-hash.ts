import { createHash } from 'node:crypto'
import {
  bytes,
  type ForeignHash,
  HASH_BYTES_MAX,
  HASH_BYTES_MIN,
  nativeCheck,
  pbkdf2Check,
  SALT_BYTES_MAX,
  scryptCheck,
  scryptOptions,
} from './foreign-kdf.ts'

const PBKDF2 = /^pbkdf2_(sha1|sha256)\$(\d{1,8})\$([^$]{1,128})\$([A-Za-z0-9+/]{1,172}={0,2})$/
const SCRYPT = /^scrypt\$(\d{1,8})\$([^$]{1,128})\$(\d{1,3})\$(\d{1,2})\$([A-Za-z0-9+/]{1,172}={0,2})$/
const ARGON2 = /^argon2(\$argon2.*)$/s
const BCRYPT = /^bcrypt\$(\$2.*)$/s
const BCRYPT_SHA256 = /^bcrypt_sha256\$(\$2.*)$/s

/**
 * Reads a hash as `django.contrib.auth.hashers` writes it: `<algorithm>$…`. Its salts are text, and what they say is
 * their bytes.
 * @returns undefined as `foreignHash`
 */
export function djangoHash(text: string): ForeignHash | undefined {
  return pbkdf2Hash(text) ?? scryptHash(text) ?? wrappedHash(text)
}

function pbkdf2Hash(text: string): ForeignHash | undefined {
  const [, digest, iterations, salt, hash] = PBKDF2.exec(text) ?? []
  return pbkdf2Check(digest as 'sha1' | 'sha256', Number(iterations), saltIn(salt), hashIn(hash))
}

function scryptHash(text: string): ForeignHash | undefined {
  const [, cost, salt, r, p, hash] = SCRYPT.exec(text) ?? []
  const log = Math.log2(Number(cost))
  if (!Number.isInteger(log)) return undefined
  return scryptCheck(scryptOptions(log, Number(r), Number(p)), saltIn(salt), hashIn(hash))
}

function wrappedHash(text: string): ForeignHash | undefined {
  return (
    nativeCheck(ARGON2.exec(text)?.[1]) ??
    nativeCheck(BCRYPT.exec(text)?.[1]) ??
    nativeCheck(BCRYPT_SHA256.exec(text)?.[1], (password) => [createHash('sha256').update(password).digest('hex')])
  )
}

function saltIn(text: string | undefined): Buffer | undefined {
  const salt = text === undefined ? undefined : Buffer.from(text)
  return salt && salt.length <= SALT_BYTES_MAX ? salt : undefined
}

function hashIn(text: string | undefined): Buffer | undefined {
  return bytes(text, HASH_BYTES_MIN, HASH_BYTES_MAX)
}
