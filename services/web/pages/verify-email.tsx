/** @jsxRuntime automatic @jsxImportSource preact */

import { CardPage, Done } from '../components/document.tsx'
import { CodeField, EmailField, Form, MailFolder, Sentence } from '../components/form.tsx'
import { redirect, renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import type { BrowserRequest } from '../request/browser-request.ts'
import { codeEnded, type FormErrors, formErrors, LINK_WORDING } from '../request/form-errors.ts'
import { HOME } from '../request/return-to.ts'
import type { Page } from './page.ts'

/**
 * `/verify-email`: by the code of a mail, or with `?token=` by its link. Opening the link changes nothing; its button does.
 * Anyone can ask for another mail: the answer is the same for every address.
 */
export const verifyEmailPage: Page = {
  path: '/verify-email',
  get: (request) => show(request, undefined, 200),
  async post(request) {
    const action = request.field('action')
    if (action === 'send') return await send(request)
    if (action === 'later') {
      const { url } = request.returnToAfter(request.pendingCode('verification'))
      request.endWait()
      return redirect(request, url)
    }
    return await confirm(request)
  },
}

async function confirm(request: BrowserRequest): Promise<Response> {
  const waiting = request.pendingCode('verification')
  const token = request.linkToken
  const code = request.code
  if (token === '') {
    // Without the step the page has no field for the code.
    if (!waiting) return show(request, codeEnded(request.texts), 400)
    const missing = request.missing({ code })
    if (missing) return show(request, missing, 400)
  }
  const proof = token === '' ? { challenge_id: waiting?.challengeId ?? '-', code } : { token }
  const outcome = await request.callAnonymously(({ auth }) => auth['email-verification-confirm'].post(proof))
  if (!outcome.ok) {
    const options =
      token === '' ? { fieldOf: { invalid_code: 'code', invalid_challenge: 'code' } } : { wording: LINK_WORDING }
    return show(request, formErrors(outcome.problem, request.texts, options), outcome.problem.status)
  }
  request.endWait()
  const { url } = request.returnToAfter(waiting)
  if (!request.session)
    return redirect(request, `/sign-in?done=verified${url === HOME ? '' : `&return_to=${encodeURIComponent(url)}`}`)
  return redirect(request, url === HOME ? '/account?done=verified' : url)
}

/** Sends another mail: to the person who is signed in, or to the address that was typed. */
async function send(request: BrowserRequest): Promise<Response> {
  const waiting = request.pendingCode('verification')
  const returnTo = waiting?.returnTo ?? HOME
  if (request.session) {
    const { email } = await request.user()
    const outcome = await request.call(({ auth }) => auth['email-verification-request'].post({}))
    if (!outcome.ok) return show(request, formErrors(outcome.problem, request.texts), outcome.problem.status)
    request.waitForCode({ kind: 'verification', challengeId: outcome.data.challenge_id, email, returnTo })
    return redirect(request, '/verify-email')
  }
  const email = request.field('email') || (waiting?.email ?? '')
  const missing = request.missing({ email })
  if (missing) return show(request, missing, 400)
  const outcome = await request.callAnonymously(({ auth }) => auth['email-verification-request'].post({ email }))
  if (!outcome.ok) return show(request, formErrors(outcome.problem, request.texts), outcome.problem.status)
  request.waitForCode({ kind: 'verification', challengeId: outcome.data.challenge_id, email, returnTo })
  return redirect(request, '/verify-email')
}

function show(request: BrowserRequest, errors: FormErrors | undefined, status: number): Response {
  const waiting = request.pendingCode('verification')
  const content =
    request.linkToken !== '' ? (
      <ByLink errors={errors} />
    ) : waiting ? (
      <ByCode errors={errors} email={waiting.email} />
    ) : (
      <Ask errors={errors} />
    )
  const { origin } = request.returnToAfter(waiting)
  return renderPage(request, content, { title: request.texts.verify.title, status, returnOrigin: origin })
}

function Back() {
  const { session, texts } = useRequest()
  return session ? <a href="/account">{texts.nav.account}</a> : <a href="/sign-in">{texts.forgot.back}</a>
}

function ByLink({ errors }: { errors: FormErrors | undefined }) {
  const { linkToken, texts } = useRequest()
  return (
    <CardPage title={texts.verify.title} after={<Back />}>
      <p>{texts.verify.lead}</p>
      <Form action="/verify-email" errors={errors} hidden={{ token: linkToken }}>
        <button type="submit" class="full">
          {texts.verify.submit}
        </button>
      </Form>
    </CardPage>
  )
}

function ByCode({ email, errors }: { email: string; errors: FormErrors | undefined }) {
  const { session, texts, url } = useRequest()
  const isSigningIn = url.searchParams.get('step') === 'sign-in'
  return (
    <CardPage title={texts.verify.title} after={session ? undefined : <Back />}>
      <Done />
      {isSigningIn && <p>{texts.verify.required}</p>}
      <p>{email.includes('@') ? <Sentence parts={texts.verify.sent(email)} /> : texts.verify.sentUnnamed}</p>
      <MailFolder />
      <Form action="/verify-email" errors={errors}>
        <CodeField errors={errors} />
        <button type="submit" class="full">
          {texts.verify.submit}
        </button>
      </Form>
      <div class="row spaced">
        {(session || email.includes('@')) && (
          <Form action="/verify-email" hidden={{ action: 'send' }}>
            <button type="submit" class="link">
              {texts.verify.again}
            </button>
          </Form>
        )}
        {session && (
          <Form action="/verify-email" hidden={{ action: 'later' }}>
            <button type="submit" class="link">
              {texts.verify.later}
            </button>
          </Form>
        )}
      </div>
    </CardPage>
  )
}

function Ask({ errors }: { errors: FormErrors | undefined }) {
  const { session, texts } = useRequest()
  return (
    <CardPage title={texts.verify.title} after={<Back />}>
      {!session && <p>{texts.verify.ask}</p>}
      <Form action="/verify-email" errors={errors} hidden={{ action: 'send' }}>
        {!session && <EmailField errors={errors} />}
        <button type="submit" class="full">
          {texts.verify.send}
        </button>
      </Form>
    </CardPage>
  )
}
