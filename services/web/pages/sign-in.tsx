/** @jsxRuntime automatic @jsxImportSource preact */

import { CardPage, Done } from '../components/document.tsx'
import { CodeField, EmailField, Field, Form, MailFolder, Sentence } from '../components/form.tsx'
import { PasskeyButton } from '../components/passkey.tsx'
import { redirect, renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import { authorizationIn } from '../request/authorization.ts'
import type { BrowserRequest, PendingCode } from '../request/browser-request.ts'
import { type FormErrors, formErrors, type Wording } from '../request/form-errors.ts'
import type { Outcome } from '../request/outcome.ts'
import { takesPasskeys } from '../request/passkeys.ts'
import { returnField, withReturn } from '../request/return-to.ts'
import type { Page } from './page.ts'
import { againStep } from './sign-in-again.tsx'
import { enrolmentStep } from './sign-in-enrolment.tsx'
import { factorStep } from './sign-in-factor.tsx'
import { openedSession, type Token } from './signing-in.ts'

/** The steps of the sign-in: each is a form, named in the address. */
type Step = 'password' | 'email' | 'code' | 'device' | 'factor' | 'enrol' | 'again'

interface StepProps {
  errors: FormErrors | undefined
  /** Options of a sign-in by a passkey; undefined: browsers have no passkeys here. */
  options: object | undefined
}

/** `/sign-in`: by password, by a passkey, or by a code from a mail; then a second factor, or the code for a new device. */
export const signInPage: Page = {
  path: '/sign-in',
  cameFrom: ({ returnTo }) => returnTo.url,
  async get(request) {
    if (request.session && stepOf(request) !== 'again') return await goOn(request)
    return show(request, stepOf(request), undefined, 200)
  },
  post(request) {
    if (request.field('step') === 'passkey') return signInByPasskey(request)
    const step = stepOf(request)
    const ended = step === 'password' ? ENDED[request.field('step')] : undefined
    if (ended === undefined) return STEPS[step](request)
    return show(request, step, { fields: {}, summary: request.texts.problems[ended] }, 400)
  },
}

/** Texts about a step that the browser is no longer at. */
const ENDED: Readonly<Record<string, 'invalid_challenge' | 'step_ended'>> = {
  code: 'invalid_challenge',
  device: 'invalid_challenge',
  factor: 'step_ended',
  enrol: 'step_ended',
  again: 'step_ended',
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
  if (step === 'factor' && request.pendingCode('factor')) return 'factor'
  if (step === 'enrol' && request.pendingCode('enrolment')) return 'enrol'
  if (step === 'again' && request.session) return 'again'
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

  async factor(request) {
    return (await factorStep.post(request)) ?? startAgain(request)
  },

  async enrol(request) {
    return (await enrolmentStep.post(request)) ?? startAgain(request)
  },

  again: againStep.post,
}

async function signInByPasskey(request: BrowserRequest): Promise<Response> {
  const credential = request.credential() ?? {}
  const outcome = await request.callAnonymously<Token>(
    ({ auth }) => auth.passkeys.login.post({ credential } as never) as never,
  )
  // A form that someone wrote may have an answer of another shape.
  if (outcome.ok || outcome.problem.code !== 'validation_failed') return await finish(request, 'passkey', outcome, '')
  return await show(request, 'password', { fields: {}, summary: request.texts.problems.invalid_passkey }, 400)
}

/** Opens the session, or goes to the step that the API asks for. */
async function finish(
  request: BrowserRequest,
  step: Step | 'passkey',
  outcome: Outcome<Token>,
  email: string,
): Promise<Response> {
  const next = await openedSession(request, outcome, email)
  if (next) return next
  if (outcome.ok) return redirect(request, request.returnTo.url)
  const { problem } = outcome
  const fieldOf = { invalid_code: 'code', invalid_challenge: 'code' }
  const wording: Wording = step === 'passkey' ? { invalid_credentials: 'invalid_passkey' } : {}
  const errors = formErrors(problem, request.texts, { fieldOf, wording })
  return show(request, step === 'passkey' ? 'password' : step, errors, problem.status)
}

/** Shows the first step, when a later one has ended. */
function startAgain(request: BrowserRequest): Promise<Response> {
  request.endWait()
  return show(request, 'password', { fields: {}, summary: request.texts.problems.step_ended }, 400)
}

function waitFor(request: BrowserRequest, kind: PendingCode['kind'], challengeId: string, email: string): void {
  request.waitForCode({ kind, challengeId, email, returnTo: request.returnTo.url })
}

function toStep(request: BrowserRequest, step: Step): Response {
  return redirect(request, withReturn(`/sign-in?step=${step}`, request.returnTo.url))
}

async function show(
  request: BrowserRequest,
  step: Step,
  errors: FormErrors | undefined,
  status: number,
): Promise<Response> {
  if (step === 'factor') return (await factorStep.show(request, errors, status)) ?? startAgain(request)
  if (step === 'enrol') return (await enrolmentStep.show(request, errors, status)) ?? startAgain(request)
  if (step === 'again') return await againStep.show(request, errors, status)
  const { title, View } = VIEWS[step]
  const options = step === 'password' ? await passkeyOptions(request) : undefined
  return renderPage(request, <View errors={errors} options={options} />, {
    title: request.texts.signIn[title],
    status,
    returnOrigin: request.returnTo.origin,
  })
}

/** The options of a sign-in by a passkey. Without them the page is complete too: the API may be busy. */
async function passkeyOptions(request: BrowserRequest): Promise<object | undefined> {
  if (!takesPasskeys(request.context.config.publicUrl)) return undefined
  const outcome = await request.callAnonymously(({ auth }) => auth.passkeys['login-options'].post({}))
  return outcome.ok ? outcome.data : undefined
}

const VIEWS = {
  password: { title: 'title', View: PasswordStep },
  email: { title: 'codeTitle', View: EmailStep },
  code: { title: 'enterCode', View: CodeStep },
  device: { title: 'deviceTitle', View: DeviceStep },
} as const

function PasswordStep({ errors, options }: StepProps) {
  const { context, form, returnTo, texts } = useRequest()
  const { emailLogin, registrationOpen } = context.config
  const hint = authorizationIn(returnTo.url)?.get('login_hint') ?? ''
  return (
    <CardPage
      title={texts.signIn.title}
      after={
        registrationOpen && (
          <>
            {texts.signIn.noAccount} <a href={withReturn('/sign-up', returnTo.url)}>{texts.signIn.signUp}</a>
          </>
        )
      }
    >
      <Done />
      <Form action="/sign-in" errors={errors} hidden={{ return_to: returnField(returnTo.url) }}>
        <Field
          name="login"
          label={texts.fields.login}
          value={form.get('login') ?? hint}
          autocomplete="username webauthn"
          errors={errors}
          autofocus={!errors && hint === ''}
        />
        <Field
          name="password"
          label={texts.fields.password}
          type="password"
          autocomplete="current-password"
          errors={errors}
          autofocus={errors?.summary !== undefined || (!errors && hint !== '')}
        />
        <p>
          <a href="/forgot-password">{texts.signIn.forgot}</a>
        </p>
        <button type="submit" class="full">
          {texts.signIn.submit}
        </button>
      </Form>
      {(options || emailLogin) && <p class="or">{texts.or}</p>}
      {options && (
        <Form action="/sign-in" hidden={{ step: 'passkey', return_to: returnField(returnTo.url) }}>
          <PasskeyButton
            id="passkey"
            does="get"
            options={options}
            label={texts.signIn.byPasskey}
            from={withReturn('/sign-in', returnTo.url)}
            autofill
          />
        </Form>
      )}
      {emailLogin && (
        <a class="button quiet full" href={withReturn('/sign-in?step=email', returnTo.url)}>
          {texts.signIn.byCode}
        </a>
      )}
    </CardPage>
  )
}

function EmailStep({ errors }: StepProps) {
  const { returnTo, texts } = useRequest()
  return (
    <CardPage
      title={texts.signIn.codeTitle}
      after={<a href={withReturn('/sign-in', returnTo.url)}>{texts.signIn.byPassword}</a>}
    >
      <p>{texts.signIn.codeLead}</p>
      <Form action="/sign-in" errors={errors} hidden={{ step: 'email', return_to: returnField(returnTo.url) }}>
        <EmailField errors={errors} />
        <button type="submit" class="full">
          {texts.signIn.sendCode}
        </button>
      </Form>
    </CardPage>
  )
}

function CodeStep({ errors }: StepProps) {
  const request = useRequest()
  const { returnTo, texts } = request
  const email = request.pendingCode('sign-in')?.email ?? ''
  return (
    <CardPage
      title={texts.signIn.enterCode}
      after={<a href={withReturn('/sign-in?step=email', returnTo.url)}>{texts.signIn.startOver}</a>}
    >
      <p>
        <Sentence parts={texts.signIn.codeSent(email)} />
      </p>
      <MailFolder />
      <Form action="/sign-in" errors={errors} hidden={{ step: 'code', return_to: returnField(returnTo.url) }}>
        <CodeField errors={errors} />
        <button type="submit" class="full">
          {texts.signIn.submit}
        </button>
      </Form>
    </CardPage>
  )
}

function DeviceStep({ errors }: StepProps) {
  const request = useRequest()
  const { returnTo, texts } = request
  const email = request.pendingCode('device')?.email ?? ''
  return (
    <CardPage
      title={texts.signIn.deviceTitle}
      after={<a href={withReturn('/sign-in', returnTo.url)}>{texts.signIn.startOver}</a>}
    >
      <p>
        {email.includes('@') ? <Sentence parts={texts.signIn.deviceSent(email)} /> : texts.signIn.deviceSentUnnamed}
      </p>
      <MailFolder />
      <Form action="/sign-in" errors={errors} hidden={{ step: 'device', return_to: returnField(returnTo.url) }}>
        <CodeField errors={errors} />
        <button type="submit" class="full">
          {texts.signIn.confirm}
        </button>
      </Form>
    </CardPage>
  )
}
