import { errorOf, type FieldError, tooLong, tooShort } from '../field-errors.ts'
import { emailKey } from '../schema/email.ts'
import { foldForSearch } from '../schema/search-text.ts'
import { isCommonPassword, onLatinKeys } from './common-passwords.ts'

const LENGTH_MAX = 256
const SERVICE_NAME = /^ch202[\d!.]*$/

/**
 * Checks a new password against NIST SP 800-63B-4, 3.1.1.2: a minimum length, no rules about characters, and no password
 * that attackers try first.
 * @param field the name of the field in the request
 * @param password in NFC. Anything but a string is ignored here: the schema refuses it
 * @param least the minimum length in characters
 * @param names the account's email and names, none of which may be its password
 * @returns an error about its length, or that it is easy to guess; none when it is valid
 */
export function passwordErrors(
  field: 'password' | 'new_password',
  password: unknown,
  least: number,
  names: readonly unknown[],
): FieldError[] {
  if (typeof password !== 'string') return []
  const length = [...password].length
  if (length < least) return [errorOf(field, tooShort(least))]
  if (length > LENGTH_MAX) return [errorOf(field, tooLong(LENGTH_MAX))]

  const weak = (reason: string) => [errorOf(field, { code: 'weak', message: `is too easy to guess: ${reason}` })]
  if (isCommonPassword(password)) return weak('it is one of the most used passwords')
  const folded = foldForSearch(password)
  if ([folded, onLatinKeys(folded)].some((spelling) => SERVICE_NAME.test(spelling)))
    return weak('it is the name of this service')
  for (const name of names) {
    if (typeof name !== 'string' || name === '') continue
    const foldedName = foldForSearch(name)
    const spellings = [foldedName, foldedName.split('@')[0], foldForSearch(emailKey(name))]
    if (spellings.includes(folded)) return weak('it is your own email or name')
  }
  return []
}
