import { readFileSync } from 'node:fs'
// Its path, also within the compiled program: as a text that is imported it costs every start six megabytes.
import commonPasswords from './common-passwords.txt' with { type: 'file' }
import { emailKey } from './email.ts'
import { errorOf, type FieldError, tooLong, tooShort } from './field-errors.ts'

const MOST = 256
const SERVICE_NAME = 'ch202'

/** A password a line. */
let common: Buffer | undefined

/**
 * Holds a new password to NIST SP 800-63B-4, 3.1.1.2: a least length, no rules about characters, and none that everyone
 * tries first.
 * @param field what the client calls it
 * @param password in NFC; of what is no string the schema says what is wrong
 * @param own what the account is known by: no password either
 * @returns what is wrong with it: its length, or that it is easy to guess
 */
export function passwordErrors(
  field: 'password' | 'new_password',
  password: unknown,
  least: number,
  own: readonly unknown[],
): FieldError[] {
  if (typeof password !== 'string') return []
  const length = [...password].length
  if (length < least) return [errorOf(field, tooShort(least))]
  if (length > MOST) return [errorOf(field, tooLong(MOST))]

  const lowered = password.toLowerCase()
  const weak = (reason: string) => [errorOf(field, { code: 'weak', message: `is too easy to guess: ${reason}` })]
  if (isCommon(lowered)) return weak('it is one of the most used passwords')
  if (lowered === SERVICE_NAME || /^ch202[\d!.]*$/.test(lowered)) return weak('it is the name of this service')
  for (const word of own) {
    if (typeof word !== 'string' || !word) continue
    const known = word.toLowerCase()
    if (lowered === known || lowered === known.split('@')[0] || lowered === emailKey(word))
      return weak('it is your own email or name')
  }
  return []
}

function isCommon(password: string): boolean {
  common ??= Buffer.concat([Buffer.from('\n'), readFileSync(commonPasswords)])
  return password !== '' && !password.includes('\n') && common.includes(`\n${password}\n`)
}
