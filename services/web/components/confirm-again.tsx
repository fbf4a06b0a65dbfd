/** @jsxRuntime automatic @jsxImportSource preact */

import { authenticationIn } from '../../kit/tokens/access-token.ts'
import type { BrowserRequest } from '../request/browser-request.ts'
import { type FormErrors, formErrors, type Wording } from '../request/form-errors.ts'
import { expected } from '../request/outcome.ts'
import { takesPasskeys } from '../request/passkeys.ts'
import { Field } from './form.tsx'
import { NoPasskeys, PasskeyButton } from './passkey.tsx'
import { useRequest } from './request-context.ts'

/** The longest time for which someone fills in a form before they send it, in milliseconds. */
const FILLING_IN = 2 * 60_000

/** How a person shows again who they are. A password is not enough for those who have a second factor. */
export type ProofNeeded = { by: 'password' } | { by: 'factor'; hasPasskey: boolean; options: object | undefined }

/**
 * Finds out whether the person has to authenticate again before a form can do what it says, and how.
 * @param errors those of the form
 * @returns null: they need not
 * @throws as `BrowserRequest.call`
 */
export async function proofNeeded(request: BrowserRequest, errors?: FormErrors): Promise<ProofNeeded | null> {
  const { context, session } = request
  const { clock, config } = context
  const { amr, authTime } = authenticationIn(session?.accessToken ?? '')
  const maxAge = config.reauthMaxAge ?? Number.POSITIVE_INFINITY
  const margin = Math.min(FILLING_IN, maxAge / 2)
  const fields = errors?.fields ?? {}
  const isAsked = 'confirm_password' in fields || 'confirm_code' in fields
  const isOld = isAsked || clock.now() - authTime * 1000 > maxAge - margin
  if (!isOld && (config.reauthMaxAge === undefined || amr.includes('mfa'))) return null
  const proof = await proofOf(request)
  return proof.by === 'password' && !isOld ? null : proof
}

/** How the person authenticates again, however long ago they did. @throws as `BrowserRequest.call` */
export async function proofOf(request: BrowserRequest): Promise<ProofNeeded> {
  const { items } = await request.factors()
  if (items.length === 0) return { by: 'password' }
  const hasPasskey = items.some(({ kind }) => kind === 'passkey')
  const canUse = hasPasskey && takesPasskeys(request.context.config.publicUrl)
  const options = canUse
    ? expected(await request.call(({ auth }) => auth.passkeys['login-options'].post({})))
    : undefined
  return { by: 'factor', hasPasskey, options }
}

interface ConfirmAgainProps {
  errors: FormErrors | undefined
  /** Tells the fields of several forms on one page apart. */
  id: string
  proof: ProofNeeded | null
  /** Says why the password is asked for, in place of how long ago the person signed in. */
  hint?: string
}

/** Asks for the password or the second factor, if the form needs it. */
export function ConfirmAgain({ errors, hint, id, proof }: ConfirmAgainProps) {
  const { texts, url } = useRequest()
  if (proof === null) return null
  if (proof.by === 'password')
    return (
      <Field
        name="confirm_password"
        id={id}
        label={texts.fields.confirm_password}
        type="password"
        autocomplete="current-password"
        hint={hint ?? texts.hints.confirm_password}
        errors={errors}
      />
    )
  return (
    <>
      <Field
        name="confirm_code"
        id={id}
        label={texts.fields.factor_code}
        autocomplete="one-time-code"
        hint={texts.hints.confirm_factor}
        maxLength={64}
        errors={errors}
      />
      {proof.options && (
        <PasskeyButton
          id={`${id}-passkey`}
          does="get"
          options={proof.options}
          label={texts.passkey.use}
          from={url.pathname + url.search}
          name="confirm_credential"
        />
      )}
      {proof.hasPasskey && <NoPasskeys />}
    </>
  )
}

/** Says at which field a call that needs recent authentication is refused, and in which words. */
export async function refusalOf(
  request: BrowserRequest,
): Promise<{ fieldOf: { reauthentication_required: string }; wording: Wording }> {
  const { items } = await request.factors()
  if (items.length === 0) return { fieldOf: { reauthentication_required: 'confirm_password' }, wording: {} }
  return {
    fieldOf: { reauthentication_required: 'confirm_code' },
    wording: { reauthentication_required: 'factor_needed' },
  }
}

/** The fields of the form that `confirmAgain` reads, by what they send to the API. */
function answerIn(request: BrowserRequest): { password: string } | { code: string } | { credential: object } | null {
  const credential = request.credential('confirm_credential')
  if (credential) return { credential }
  const code = request.secret('confirm_code').replaceAll(/\s/g, '')
  if (code !== '') return { code }
  const password = request.secret('confirm_password')
  return password === '' ? null : { password }
}

/** Authenticates the person again, if the form has an answer for that. @returns what is wrong with it */
export async function confirmAgain(
  request: BrowserRequest,
): Promise<{ errors: FormErrors; status: number } | undefined> {
  const answer = answerIn(request)
  if (answer === null) return undefined
  const outcome = await request.call(({ auth }) => auth.reauthenticate.post(answer as never))
  if (outcome.ok) {
    request.renewAccess(outcome.data)
    return undefined
  }
  const { problem, texts } = { ...outcome, texts: request.texts }
  const isPassword = 'password' in answer
  // A factor was added meanwhile, and the password is not enough any more.
  if (isPassword && problem.code === 'invalid_credentials' && (await request.factors()).items.length > 0)
    return { errors: { fields: { confirm_code: texts.problems.factor_needed } }, status: problem.status }
  const field = isPassword ? 'confirm_password' : 'confirm_code'
  const options = {
    fieldOf: { invalid_credentials: field, invalid_code: field, code: field },
    wording: {
      invalid_credentials: isPassword ? 'wrong_password' : 'invalid_passkey',
      invalid_code: 'wrong_factor_code',
    },
  } as const
  return { errors: formErrors(problem, texts, options), status: problem.status }
}
