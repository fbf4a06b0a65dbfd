import { invalid, Problem } from '../kit/problem.ts'
import { foldForSearch } from '../kit/search-text.ts'
import { isCommonPassword, onLatinKeys } from './common-passwords.ts'

const MOST = 256
const SERVICE_NAME = /^ch202[\d!.]*$/

/**
 * Holds a new password to NIST SP 800-63B-4, 3.1.1.2: a least length, no rules about characters, and none that everyone
 * tries first.
 * @param field what the client calls it
 * @param password in NFC
 * @param own what the account is known by: no password either
 * @throws Problem `validation_failed` for its length, `weak_password` for being easy to guess
 */
export function checkNewPassword(
  field: 'password' | 'new_password',
  password: string,
  least: number,
  own: readonly (string | null)[],
): void {
  const length = [...password].length
  if (length < least) throw invalid(`${field} must be longer than or equal to ${least} characters`)
  if (length > MOST) throw invalid(`${field} must be shorter than or equal to ${MOST} characters`)

  if (isCommonPassword(password)) throw weak('it is one of the most used passwords')
  const text = foldForSearch(password)
  if ([text, onLatinKeys(text)].some((name) => SERVICE_NAME.test(name))) throw weak('it is the name of this service')
  for (const word of own) {
    if (!word) continue
    const name = foldForSearch(word)
    if (text === name || text === name.split('@')[0]) throw weak('it is your own email or name')
  }
}

function weak(reason: string): Problem {
  return new Problem('weak_password', { message: `The password is too easy to guess: ${reason}` })
}
