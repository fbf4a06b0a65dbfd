import { errorOf, type FieldError, tooLong, tooShort } from '../field-errors.ts'
import { emailKey } from '../schema/email.ts'
import { foldForSearch } from '../schema/search-text.ts'
import { isCommonPassword, onLatinKeys } from './common-passwords.ts'

const MOST = 256
const SERVICE_NAME = /^ch202[\d!.]*$/

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
