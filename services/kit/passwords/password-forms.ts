import { createHash } from 'node:crypto'
import { BCRYPT_BYTES_MAX } from './native-hash.ts'

// The bytes of a password that Ch202 hashes, and those that other systems may have hashed.

/**
 * The input to bcrypt. bcrypt reads only 72 bytes: a password of 72 bytes or more is replaced by its digest, so that
 * every byte counts and no hash of ours is the hash of a password's beginning.
 */
export function forBcrypt(password: string): string {
  if (Buffer.byteLength(password) < BCRYPT_BYTES_MAX) return password
  return createHash('sha256').update(password).digest('base64')
}

/**
 * The Unicode forms of a password that another system may have hashed. Such systems hash what is typed, which some
 * keyboards send as NFD; Ch202 hashes NFC only. No hash of ours was made from NFD, so the second form can only match an
 * imported hash.
 */
export function unicodeForms(password: string): string[] {
  const decomposed = password.normalize('NFD')
  return decomposed === password ? [password] : [password, decomposed]
}

/**
 * The inputs that other systems give to bcrypt, except those that Ch202 gives itself: the first 72 bytes of a password.
 * None of our hashes has an input of 72 bytes, so these too can only match an imported hash.
 */
export function importedBcryptForms(password: string): Buffer[] {
  const ourInput = Buffer.from(forBcrypt(password))
  return unicodeForms(password)
    .map((form) => Buffer.from(form).subarray(0, BCRYPT_BYTES_MAX))
    .filter((form) => !form.equals(ourInput))
}
