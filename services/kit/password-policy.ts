import { readFileSync } from 'node:fs'
// Its path, also within the compiled program: as a text that is imported it costs every start six megabytes.
import commonPasswords from './common-passwords.txt' with { type: 'file' }
import { invalid, Problem } from './problem.ts'

const MOST = 256
const SERVICE_NAME = 'ch202'

/** A password a line. */
let common: Buffer | undefined

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

  const lowered = password.toLowerCase()
  if (isCommon(lowered)) throw weak('it is one of the most used passwords')
  if (lowered === SERVICE_NAME || /^ch202[\d!.]*$/.test(lowered)) throw weak('it is the name of this service')
  for (const word of own) {
    if (!word) continue
    const known = word.toLowerCase()
    if (lowered === known || lowered === known.split('@')[0]) throw weak('it is your own email or name')
  }
}

function isCommon(password: string): boolean {
  common ??= Buffer.concat([Buffer.from('\n'), readFileSync(commonPasswords)])
  return password !== '' && !password.includes('\n') && common.includes(`\n${password}\n`)
}

function weak(reason: string): Problem {
  return new Problem('weak_password', { message: `The password is too easy to guess: ${reason}` })
}
