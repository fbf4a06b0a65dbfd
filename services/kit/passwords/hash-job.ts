import { parseImportedHash } from './imported-hash.ts'
import { BCRYPT } from './native-hash.ts'
import { forBcrypt, importedBcryptForms, unicodeForms } from './password-forms.ts'

// The work of a thread that hashes. Everything here is synchronous: `Bun.password.verify` and the asynchronous functions of
// node:crypto would run on Bun's thread pool, which WebCrypto and file reads need.

/** The algorithm of a new hash, with its cost. */
export type HashParameters =
  | { algorithm: 'bcrypt'; cost: number }
  | { algorithm: 'argon2id'; memoryCost: number; timeCost: number }

/** A password to hash, or to check against a hash. */
export type HashJob =
  | { kind: 'hash'; password: string; parameters: HashParameters }
  | { kind: 'check'; password: string; hash: string }

/**
 * How a check ended. `imported`: the password matches in a form that only another system hashes; `unreadable`: the hash
 * could not be read, and matches nothing.
 */
export type CheckResult = 'match' | 'imported' | 'different' | 'unreadable'

/** @throws Error of Bun if the password is empty */
export function hashPassword(password: string, parameters: HashParameters): string {
  return Bun.password.hashSync(parameters.algorithm === 'bcrypt' ? forBcrypt(password) : password, parameters)
}

/** Checks a password against a hash of any supported kind, within the cost limits or not. */
export function checkPassword(password: string, hash: string): CheckResult {
  try {
    const foreign = parseImportedHash(hash)
    if (foreign) return unicodeForms(password).some((form) => foreign.matches(form)) ? 'imported' : 'different'
    const isBcrypt = BCRYPT.test(hash)
    if (Bun.password.verifySync(isBcrypt ? forBcrypt(password) : password, hash)) return 'match'
    const forms = isBcrypt ? importedBcryptForms(password) : unicodeForms(password).slice(1)
    return forms.some((form) => Bun.password.verifySync(form, hash)) ? 'imported' : 'different'
  } catch {
    // The text of the error may quote what was hashed.
    return 'unreadable'
  }
}
