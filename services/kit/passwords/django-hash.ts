import { createHash } from 'node:crypto'
import {
  decodeBase64,
  HASH_BYTES_MAX,
  HASH_BYTES_MIN,
  type ImportedHash,
  nativeCheck,
  pbkdf2Check,
  SALT_BYTES_MAX,
  scryptCheck,
  scryptOptions,
} from './key-derivation.ts'

const PBKDF2 = /^pbkdf2_(sha1|sha256)\$(\d{1,8})\$([^$]{1,128})\$([A-Za-z0-9+/]{1,172}={0,2})$/
const SCRYPT = /^scrypt\$(\d{1,8})\$([^$]{1,128})\$(\d{1,3})\$(\d{1,2})\$([A-Za-z0-9+/]{1,172}={0,2})$/
const ARGON2 = /^argon2(\$argon2.*)$/s
const BCRYPT = /^bcrypt\$(\$2.*)$/s
const BCRYPT_SHA256 = /^bcrypt_sha256\$(\$2.*)$/s

/**
 * Reads a hash of Django (`django.contrib.auth.hashers`): `<algorithm>$…`. The salt is the text's own bytes.
 * @returns undefined as `parseImportedHash`
 */
export function parseDjangoHash(text: string): ImportedHash | undefined {
  return parsePbkdf2(text) ?? parseScrypt(text) ?? parseWrapped(text)
}

function parsePbkdf2(text: string): ImportedHash | undefined {
  const [, digest, iterations, salt, hash] = PBKDF2.exec(text) ?? []
  return pbkdf2Check(digest as 'sha1' | 'sha256', Number(iterations), saltOf(salt), hashOf(hash))
}

function parseScrypt(text: string): ImportedHash | undefined {
  const [, cost, salt, r, p, hash] = SCRYPT.exec(text) ?? []
  const log = Math.log2(Number(cost))
  if (!Number.isInteger(log)) return undefined
  return scryptCheck(scryptOptions(log, Number(r), Number(p)), saltOf(salt), hashOf(hash))
}

function parseWrapped(text: string): ImportedHash | undefined {
  return (
    nativeCheck(ARGON2.exec(text)?.[1]) ??
    nativeCheck(BCRYPT.exec(text)?.[1]) ??
    nativeCheck(BCRYPT_SHA256.exec(text)?.[1], (password) => [createHash('sha256').update(password).digest('hex')])
  )
}

function saltOf(text: string | undefined): Buffer | undefined {
  const salt = text === undefined ? undefined : Buffer.from(text)
  return salt && salt.length <= SALT_BYTES_MAX ? salt : undefined
}

function hashOf(text: string | undefined): Buffer | undefined {
  return decodeBase64(text, HASH_BYTES_MIN, HASH_BYTES_MAX)
}
