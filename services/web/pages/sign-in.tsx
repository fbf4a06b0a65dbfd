/** @jsxRuntime automatic @jsxImportSource preact */

import { CardPage, Done } from '../components/document.tsx'
import { CodeField, EmailField, Field, Form, MailFolder, Sentence } from '../components/form.tsx'
import { redirect, renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import type { BrowserRequest, PendingCode } from '../request/browser-request.ts'
import { type FormErrors, formErrors } from '../request/form-errors.ts'
import type { Outcome } from '../request/outcome.ts'
import { HOME } from '../request/return-to.ts'
import type { Page } from './page.ts'
import { openedSession, type Token } from './signing-in.ts'

/** The steps of the sign-in: each is a form, named in the address. */
type Step = 'password' | 'email' | 'code' | 'device'

interface StepProps {
  errors?: FormErrors
  returnTo: string | undefined
}

/** `/sign-in`: by password, or by a code from a mail; and the code that confirms a new device. */
export const signInPage: Page = {
  path: '/sign-in',
  async get(request) {
    if (request.session) return await goOn(request)
    return show(request, stepOf(request), undefined, 200)
  },
  post(request) {
    const step = stepOf(request)
    const hasExpired = step === 'password' && ['code', 'device'].includes(request.field('step'))
    if (!hasExpired) return STEPS[step](request)
    return show(request, step, { fields: {}, summary: request.texts.problems.invalid_challenge }, 400)
  },
}

/** Leaves the sign-in if the session is valid; otherwise removes it. */
async function goOn(request: BrowserRequest): Promise<Response> {
  await request.user()
  return redirect(request, request.returnTo.url)
}

/** The step that the address or the form names, if the browser is at it. */
function stepOf(request: BrowserRequest): Step {
  const step = request.form.get('step') ?? request.url.searchParams.get('step')
  if (step === 'email' && request.context.config.emailLogin) return 'email'
  if (step === 'code' && request.pendingCode('sign-in')) return 'code'
  if (step === 'device' && request.pendingCode('device')) return 'device'
  return 'password'
}

const STEPS: Record<Step, (request: BrowserRequest) => Promise<Response>> = {
  async password(request) {
    const login = request.field('login')
    const password = request.secret('password')
    const missing = request.missing({ login, password })
    if (missing) return show(request, 'password', missing, 400)
    const device_token = request.deviceToken
    const body = { login, password, ...(device_token === undefined ? {} : { device_token }) }
    const outcome = await request.callAnonymously<Token>(({ auth }) => auth.login.post(body))
    return await finish(request, 'password', outcome, login)
  },

  async email(request) {
    const email = request.field('email')
    const missing = request.missing({ email })
    if (missing) return show(request, 'email', missing, 400)
    const outcome = await request.callAnonymously(({ auth }) => auth['email-code-request'].post({ email }))
    if (!outcome.ok) return show(request, 'email', formErrors(outcome.problem, request.texts), outcome.problem.status)
    waitFor(request, 'sign-in', outcome.data.challenge_id, email)
    return toStep(request, 'code')
  },

  async code(request) {
    const { challengeId: challenge_id, email } = request.pendingCode('sign-in') as PendingCode
    const code = request.code
    const missing = request.missing({ code })
    if (missing) return show(request, 'code', missing, 400)
    const outcome = await request.callAnonymously<Token>(({ auth }) =>
      auth['email-code-login'].post({ challenge_id, code }),
    )
    return await finish(request, 'code', outcome, email)
  },

  async device(request) {
    const { challengeId: challenge_id, email } = request.pendingCode('device') as PendingCode
    const code = request.code
    const missing = request.missing({ code })
    if (missing) return show(request, 'device', missing, 400)
    const outcome = await request.callAnonymously(({ auth }) => auth['device-confirm'].post({ challenge_id, code }))
    if (outcome.ok) request.keepDevice(outcome.data.device_token)
    return await finish(request, 'device', outcome, email)
  },
}

/** Opens the session, or goes to the step that the API asks for. */
async function finish(request: BrowserRequest, step: Step, outcome: Outcome<Token>, email: string): Promise<Response> {
  const next = await openedSession(request, outcome, email)
  if (next) return next
  if (outcome.ok) return redirect(request, request.returnTo.url)
  const { problem } = outcome
  const fieldOf = { invalid_code: 'code', invalid_challenge: 'code' }
  return show(request, step, formErrors(problem, request.texts, { fieldOf }), problem.status)
}

function waitFor(request: BrowserRequest, kind: PendingCode['kind'], challengeId: string, email: string): void {
  request.waitForCode({ kind, challengeId, email, returnTo: request.returnTo.url })
}

function toStep(request: BrowserRequest, step: Step): Response {
  const { url } = request.returnTo
  const query = new URLSearchParams({ step, ...(url === HOME ? {} : { return_to: url }) })
  return redirect(request, `/sign-in?${query}`)
}

function show(request: BrowserRequest, step: Step, errors: FormErrors | undefined, status: number): Response {
  const { origin, url } = request.returnTo
  const { title, View } = VIEWS[step]
  const props = { ...(errors ? { errors } : {}), returnTo: url === HOME ? undefined : url }
  return renderPage(request, <View {...props} />, {
    title: request.texts.signIn[title],
    status,
    returnOrigin: origin,
  })
}

const VIEWS = {
  password: { title: 'title', View: PasswordStep },
  email: { title: 'codeTitle', View: EmailStep },
  code: { title: 'enterCode', View: CodeStep },
  device: { title: 'deviceTitle', View: DeviceStep },
} as const

/** A link to another page of the sign-in, which keeps where the person wants to go. */
function withReturn(path: string, returnTo: string | undefined): string {
  if (returnTo === undefined) return path
  return `${path}${path.includes('?') ? '&' : '?'}return_to=${encodeURIComponent(returnTo)}`
}

function PasswordStep({ errors, returnTo }: StepProps) {
  const { context, form, texts } = useRequest()
  const { emailLogin, registrationOpen } = context.config
  return (
    <CardPage
      title={texts.signIn.title}
      after={
        registrationOpen && (
          <>
            {texts.signIn.noAccount} <a href={withReturn('/sign-up', returnTo)}>{texts.signIn.signUp}</a>
          </>
        )
      }
    >
      <Done />
      <Form action="/sign-in" errors={errors} hidden={{ return_to: returnTo }}>
        <Field
          name="login"
          label={texts.fields.login}
          value={form.get('login') ?? ''}
          autocomplete="username webauthn"
          errors={errors}
          autofocus={!errors}
        />
        <Field
          name="password"
          label={texts.fields.password}
          type="password"
          autocomplete="current-password"
          errors={errors}
          autofocus={errors?.summary !== undefined}
        />
        <p>
          <a href="/forgot-password">{texts.signIn.forgot}</a>
        </p>
        <button type="submit" class="full">
          {texts.signIn.submit}
        </button>
      </Form>
      {emailLogin && (
        <>
          <p class="or">{texts.or}</p>
          <a class="button quiet full" href={withReturn('/sign-in?step=email', returnTo)}>
            {texts.signIn.byCode}
          </a>
        </>
      )}
    </CardPage>
  )
}

function EmailStep({ errors, returnTo }: StepProps) {
  const { texts } = useRequest()
  return (
    <CardPage
      title={texts.signIn.codeTitle}
      after={<a href={withReturn('/sign-in', returnTo)}>{texts.signIn.byPassword}</a>}
    >
      <p>{texts.signIn.codeLead}</p>
      <Form action="/sign-in" errors={errors} hidden={{ step: 'email', return_to: returnTo }}>
        <EmailField errors={errors} />
        <button type="submit" class="full">
          {texts.signIn.sendCode}
        </button>
      </Form>
    </CardPage>
  )
}

function CodeStep({ errors, returnTo }: StepProps) {
  const request = useRequest()
  const { texts } = request
  const email = request.pendingCode('sign-in')?.email ?? ''
  return (
    <CardPage
      title={texts.signIn.enterCode}
      after={<a href={withReturn('/sign-in?step=email', returnTo)}>{texts.signIn.startOver}</a>}
    >
      <p>
        <Sentence parts={texts.signIn.codeSent(email)} />
      </p>
      <MailFolder />
      <Form action="/sign-in" errors={errors} hidden={{ step: 'code', return_to: returnTo }}>
        <CodeField errors={errors} />
        <button type="submit" class="full">
          {texts.signIn.submit}
        </button>
      </Form>
    </CardPage>
  )
}

function DeviceStep({ errors, returnTo }: StepProps) {
  const request = useRequest()
  const { texts } = request
  const email = request.pendingCode('device')?.email ?? ''
  return (
    <CardPage
      title={texts.signIn.deviceTitle}
      after={<a href={withReturn('/sign-in', returnTo)}>{texts.signIn.startOver}</a>}
    >
      <p>
        {email.includes('@') ? <Sentence parts={texts.signIn.deviceSent(email)} /> : texts.signIn.deviceSentUnnamed}
      </p>
      <MailFolder />
      <Form action="/sign-in" errors={errors} hidden={{ step: 'device', return_to: returnTo }}>
        <CodeField errors={errors} />
        <button type="submit" class="full">
          {texts.signIn.confirm}
        </button>
      </Form>
    </CardPage>
  )
}
