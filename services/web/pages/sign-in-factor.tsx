/** @jsxRuntime automatic @jsxImportSource preact */

import { CardPage } from '../components/document.tsx'
import { Field, Form } from '../components/form.tsx'
import { NoPasskeys, PasskeyButton } from '../components/passkey.tsx'
import { redirect, renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import type { BrowserRequest, PendingCode } from '../request/browser-request.ts'
import { type FormErrors, formErrors } from '../request/form-errors.ts'
import { expected, type Outcome } from '../request/outcome.ts'
import { takesPasskeys } from '../request/passkeys.ts'
import { returnField, withReturn } from '../request/return-to.ts'
import { openedSession, type Token } from './signing-in.ts'

/** How often the API takes a second factor for one sign-in. It counts itself: this number only says what to show. */
const TRIES = 5
/** The problems of an answer that the API has counted. */
const COUNTED = ['invalid_code', 'invalid_credentials', 'rate_limited']

/**
 * The step of `/sign-in` that asks for the second factor: a code of an app or a recovery code, in one field, or a passkey.
 * Both functions return null when the step has ended, and the person must sign in again.
 */
export const factorStep = {
  async post(request: BrowserRequest): Promise<Response | null> {
    const waiting = request.pendingCode('factor')
    if (!waiting) return null
    const credential = request.credential()
    const code = request.code
    const missing = credential ? undefined : request.missing({ code })
    if (missing) return await show(request, missing, 400)
    const answer = { challenge_id: waiting.challengeId, ...(credential ? { credential } : { code }) }
    const outcome = await request.callAnonymously<Token>(
      ({ auth }) => auth['second-factor'].post(answer as never) as never,
    )
    const next = await openedSession(request, outcome, waiting.email)
    if (next) return next
    if (outcome.ok) return redirect(request, request.returnTo.url)
    return await refuse(request, waiting, outcome)
  },
  show,
}

async function refuse(
  request: BrowserRequest,
  waiting: PendingCode,
  { problem }: Extract<Outcome<Token>, { ok: false }>,
): Promise<Response | null> {
  const tries = (waiting.tries ?? 0) + (COUNTED.includes(problem.code) ? 1 : 0)
  if (tries >= TRIES) return null
  request.waitForCode({ ...waiting, tries })
  const options = {
    fieldOf: { invalid_code: 'code' },
    wording: { invalid_code: 'wrong_factor_code', invalid_credentials: 'invalid_passkey' },
  } as const
  return await show(request, formErrors(problem, request.texts, options), problem.status)
}

async function show(request: BrowserRequest, errors: FormErrors | undefined, status: number): Promise<Response | null> {
  const { challengeId: challenge_id = '', methods = [] } = request.pendingCode('factor') ?? {}
  let options: object | undefined
  if (methods.includes('passkey') && takesPasskeys(request.context.config.publicUrl)) {
    const outcome = await request.callAnonymously(({ auth }) => auth.passkeys['login-options'].post({ challenge_id }))
    if (!outcome.ok && outcome.problem.code === 'invalid_challenge') return null
    options = expected(outcome)
  }
  const title = request.texts.signIn.factorTitle
  const content = <FactorStep errors={errors} methods={methods} options={options} />
  return renderPage(request, content, { title, status, returnOrigin: request.returnTo.origin })
}

interface FactorStepProps {
  errors: FormErrors | undefined
  methods: readonly string[]
  /** Options of a passkey; undefined: the person cannot use one here. */
  options: object | undefined
}

function FactorStep({ errors, methods, options }: FactorStepProps) {
  const { returnTo, texts } = useRequest()
  const { url } = returnTo
  const hasApp = methods.includes('totp')
  const hidden = { step: 'factor', return_to: returnField(url) }
  return (
    <CardPage
      title={texts.signIn.factorTitle}
      after={<a href={withReturn('/sign-in', url)}>{texts.signIn.startOver}</a>}
    >
      <p>{texts.signIn.factorLead}</p>
      {options ? (
        <Form action="/sign-in" hidden={hidden}>
          <PasskeyButton
            id="passkey"
            does="get"
            options={options}
            label={texts.passkey.use}
            from={withReturn('/sign-in?step=factor', url)}
          />
        </Form>
      ) : (
        methods.includes('passkey') && <NoPasskeys />
      )}
      {options && <p class="or">{texts.or}</p>}
      <Form action="/sign-in" errors={errors} hidden={hidden}>
        <Field
          name="code"
          label={hasApp ? texts.fields.factor_code : texts.fields.recovery_code}
          hint={hasApp ? texts.hints.factor_code : texts.hints.recovery_code}
          autocomplete="one-time-code"
          maxLength={64}
          errors={errors}
          autofocus={!errors?.fields.code}
        />
        <button type="submit" class="full">
          {texts.signIn.submit}
        </button>
      </Form>
    </CardPage>
  )
}
