import { isCommonPassword, onLatinKeys } from './common-passwords.ts'
import { emailKey } from './email.ts'
import { errorOf, type FieldError, tooLong, tooShort } from './field-errors.ts'
import { invalid } from './problem.ts'
import { foldForSearch } from './search-text.ts'

const MOST = 256
const SERVICE_NAME = /^ch202[\d!.]*$/

/** What the client calls it. */
export type PasswordField = 'password' | 'new_password'

/**
 * Holds a new password to the rules of `passwordErrors`.
 * @throws Problem `validation_failed` for its length, `weak_password` for being easy to guess
 */
export function checkNewPassword(
  field: PasswordField,
  password: string,
  least: number,
  own: readonly (string | null)[],
): void {
  const errors = passwordErrors(field, password, least, own)
  if (errors.length > 0) throw invalid(errors)
}

/**
 * What is wrong with a new password by NIST SP 800-63B-4, 3.1.1.2: a least length, no rules about characters, and none
 * that everyone tries first.
 * @param password in NFC; of one that is no string the schema says what is wrong
 * @param least characters
 * @param own what the account is known by, as far as it is text: no password either
 */
export function passwordErrors(
  field: PasswordField,
  password: unknown,
  least: number,
  own: readonly unknown[],
): FieldError[] {
  if (typeof password !== 'string') return []
  const length = [...password].length
  if (length < least) return [errorOf(field, tooShort(least))]
  if (length > MOST) return [errorOf(field, tooLong(MOST))]

  const weak = (reason: string) => [errorOf(field, { code: 'weak', message: `is too easy to guess: ${reason}` })]
  if (isCommonPassword(password)) return weak('it is one of the most used passwords')
  const folded = foldForSearch(password)
  if ([folded, onLatinKeys(folded)].some((typed) => SERVICE_NAME.test(typed)))
    return weak('it is the name of this service')
  for (const word of own) {
    if (typeof word !== 'string' || word === '') continue
    const name = foldForSearch(word)
    const names = [name, name.split('@')[0], foldForSearch(emailKey(word))]
    if (names.includes(folded)) return weak('it is your own email or name')
  }
  return []
}
