import type { Texts } from '../texts/en.ts'
import { type FormErrors, formErrors, type Wording } from './form-errors.ts'
import type { ApiProblem } from './outcome.ts'

/**
 * Puts a problem of a new factor into words. No form shows the field of a passkey's answer: its errors are about the form.
 * @param options for problems that are not about the factor
 */
export function enrolmentErrors(
  problem: ApiProblem,
  texts: Texts,
  options: { fieldOf: Readonly<Record<string, string>>; wording: Wording } = { fieldOf: {}, wording: {} },
): FormErrors {
  const ofPasskey = problem.errors.find(({ field }) => field.startsWith('credential'))
  if (ofPasskey) {
    const { invalid_passkey, passkey_taken } = texts.problems
    return { fields: {}, summary: ofPasskey.code === 'taken' ? passkey_taken : invalid_passkey }
  }
  const fieldOf = { ...options.fieldOf, invalid_code: 'code' }
  const wording: Wording = {
    ...options.wording,
    invalid_code: 'wrong_factor_code',
    invalid_credentials: 'invalid_passkey',
    factor_not_found: 'app_expired',
  }
  return formErrors(problem, texts, { fieldOf, wording })
}
