/** @jsxRuntime automatic @jsxImportSource preact */

import type { BrowserRequest } from '../request/browser-request.ts'
import { type FormErrors, formErrors } from '../request/form-errors.ts'
import { Field } from './form.tsx'
import { useRequest } from './request-context.ts'

/** The longest time for which someone fills in a form before they send it, in milliseconds. */
const FILLING_IN = 2 * 60_000

/** Asks for the password, if the person has to authenticate again before the form can do what it says. */
export function ConfirmPassword({ errors, id }: { errors: FormErrors | undefined; id: string }) {
  const request = useRequest()
  if (errors?.fields.confirm_password === undefined && !needsPassword(request)) return null
  const { texts } = request
  return (
    <Field
      name="confirm_password"
      id={id}
      label={texts.fields.confirm_password}
      type="password"
      autocomplete="current-password"
      hint={texts.hints.confirm_password}
      errors={errors}
    />
  )
}

function needsPassword({ authenticatedAt, context }: BrowserRequest): boolean {
  const { clock, config } = context
  if (config.reauthMaxAge === undefined) return false
  const margin = Math.min(FILLING_IN, config.reauthMaxAge / 2)
  return clock.now() - authenticatedAt > config.reauthMaxAge - margin
}

/** The field of the form that a call which needs recent authentication is refused by. */
export const REAUTHENTICATION = { reauthentication_required: 'confirm_password' } as const

/** Authenticates the person again, if the form has a password for that. @returns what is wrong with it */
export async function confirmPassword(
  request: BrowserRequest,
): Promise<{ errors: FormErrors; status: number } | undefined> {
  const password = request.secret('confirm_password')
  if (password === '') return undefined
  const outcome = await request.call(({ auth }) => auth.reauthenticate.post({ password }))
  if (outcome.ok) {
    request.renewAccess(outcome.data)
    return undefined
  }
  const options = {
    fieldOf: { invalid_credentials: 'confirm_password' },
    wording: { invalid_credentials: 'wrong_password' },
  } as const
  return { errors: formErrors(outcome.problem, request.texts, options), status: outcome.problem.status }
}
