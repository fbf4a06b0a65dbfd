/** @jsxRuntime automatic @jsxImportSource preact */

import type { EnrolledAnswer } from '../../auth/schemas/factors.ts'
import type { Token } from '../../auth/schemas/tokens.ts'
import { CardPage } from '../components/document.tsx'
import { Form } from '../components/form.tsx'
import { NewAppFields } from '../components/new-app.tsx'
import { NoPasskeys, PasskeyButton } from '../components/passkey.tsx'
import { RecoveryCodes } from '../components/recovery-codes.tsx'
import { redirect, renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import type { BrowserRequest, NewApp, PendingCode } from '../request/browser-request.ts'
import { enrolmentErrors } from '../request/enrolment-errors.ts'
import type { FormErrors } from '../request/form-errors.ts'
import { expected, type Outcome } from '../request/outcome.ts'
import { takesPasskeys } from '../request/passkeys.ts'
import { returnField, withReturn } from '../request/return-to.ts'

type Enrolment = (request: BrowserRequest, waiting: PendingCode) => Promise<Response | null>

/**
 * The step of `/sign-in` in which someone who must have a second factor adds one: an app or a passkey. Then it shows the
 * recovery codes. Both functions return null when the step has ended, and the person must sign in again.
 */
export const enrolmentStep = {
  async post(request: BrowserRequest): Promise<Response | null> {
    const waiting = request.pendingCode('enrolment')
    if (!waiting) return null
    const action = request.field('action')
    const enrol = Object.hasOwn(ENROLMENTS, action) ? ENROLMENTS[action] : undefined
    return enrol ? await enrol(request, waiting) : await show(request, undefined, 400)
  },
  show,
}

const ENROLMENTS: Record<string, Enrolment> = {
  async app(request, waiting) {
    const { challengeId: challenge_id } = waiting
    const outcome = await request.callAnonymously(({ auth }) => auth.factors.totp.post({ challenge_id }))
    if (!outcome.ok) return await refuse(request, outcome)
    const { id, uri } = outcome.data
    request.waitForCode({ ...waiting, app: { id, uri } })
    return redirect(request, withReturn('/sign-in?step=enrol', request.returnTo.url))
  },

  async 'app-code'(request, { app, challengeId: challenge_id }) {
    const code = request.code
    const missing = request.missing({ code })
    if (missing) return await show(request, missing, 400)
    const id = app?.id ?? '00000000-0000-4000-8000-000000000000'
    const outcome = await request.callAnonymously<EnrolledAnswer>(({ auth }) =>
      auth.factors.totp.confirm.post({ id, code, challenge_id }),
    )
    return outcome.ok ? await added(request, outcome.data) : await refuse(request, outcome)
  },

  async passkey(request, { challengeId: challenge_id }) {
    const body = { credential: request.credential() ?? {}, challenge_id }
    const outcome = await request.callAnonymously<EnrolledAnswer>(
      ({ auth }) => auth.passkeys.post(body as never) as never,
    )
    return outcome.ok ? await added(request, outcome.data) : await refuse(request, outcome)
  },
}

async function refuse(
  request: BrowserRequest,
  { problem }: Extract<Outcome<unknown>, { ok: false }>,
): Promise<Response | null> {
  if (problem.code === 'invalid_challenge') return null
  return await show(request, enrolmentErrors(problem, request.texts), problem.status)
}

/** Opens the session that waited for the factor, and shows the recovery codes on the way to where the person was going. */
async function added(request: BrowserRequest, { recovery_codes, tokens }: EnrolledAnswer): Promise<Response> {
  request.endWait()
  await request.signIn(tokens as Token)
  const { url } = request.returnTo
  if (!recovery_codes) return redirect(request, url)
  const { title } = request.texts.recovery
  const content = (
    <CardPage title={title}>
      <RecoveryCodes codes={recovery_codes} next={url} />
    </CardPage>
  )
  return renderPage(request, content, { title })
}

async function show(request: BrowserRequest, errors: FormErrors | undefined, status: number): Promise<Response | null> {
  const { app, challengeId: challenge_id = '' } = request.pendingCode('enrolment') ?? {}
  let options: object | undefined
  if (takesPasskeys(request.context.config.publicUrl)) {
    const outcome = await request.callAnonymously(({ auth }) => auth.passkeys.options.post({ challenge_id }))
    if (!outcome.ok && outcome.problem.code === 'invalid_challenge') return null
    options = expected(outcome)
  }
  const { origin } = request.returnTo
  const isLost = errors?.summary === request.texts.problems.app_expired
  const content = <EnrolmentStep app={isLost ? undefined : app} errors={errors} options={options} />
  return renderPage(request, content, { title: request.texts.signIn.enrolTitle, status, returnOrigin: origin })
}

interface EnrolmentStepProps {
  app: NewApp | undefined
  errors: FormErrors | undefined
  /** Options of a passkey; undefined: browsers have no passkeys here. */
  options: object | undefined
}

function EnrolmentStep({ app, errors, options }: EnrolmentStepProps) {
  const { returnTo, texts } = useRequest()
  const { url } = returnTo
  const hidden = (action: string) => ({ step: 'enrol', action, return_to: returnField(url) })
  return (
    <CardPage
      title={texts.signIn.enrolTitle}
      after={<a href={withReturn('/sign-in', url)}>{texts.signIn.startOver}</a>}
    >
      <p>{texts.signIn.enrolLead}</p>
      <Form action="/sign-in" errors={errors} hidden={hidden(app ? 'app-code' : 'app')}>
        {app ? <NewAppFields app={app} errors={errors} /> : <p>{texts.app.lead}</p>}
        <button type="submit" class="full">
          {app ? texts.app.confirm : texts.app.start}
        </button>
      </Form>
      <p class="or">{texts.or}</p>
      <NoPasskeys />
      {options && (
        <Form action="/sign-in" hidden={hidden('passkey')}>
          <p>{texts.passkey.lead}</p>
          <PasskeyButton
            id="passkey"
            does="create"
            options={options}
            label={texts.passkey.add}
            from={withReturn('/sign-in?step=enrol', url)}
          />
        </Form>
      )}
    </CardPage>
  )
}
