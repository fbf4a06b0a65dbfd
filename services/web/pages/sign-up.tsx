/** @jsxRuntime automatic @jsxImportSource preact */

import { CardPage } from '../components/document.tsx'
import { EmailField, Form, NameField, NewPasswordField } from '../components/form.tsx'
import { redirect, renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import type { BrowserRequest } from '../request/browser-request.ts'
import { type FormErrors, formErrors } from '../request/form-errors.ts'
import { HOME } from '../request/return-to.ts'
import type { Page } from './page.ts'

/** `/sign-up`: creates an account. If the email must be verified before the first sign-in, that comes next. */
export const signUpPage: Page = {
  path: '/sign-up',
  get: (request) => (request.session ? redirect(request, HOME) : show(request, undefined, 200)),
  async post(request) {
    const email = request.field('email')
    const password = request.secret('password')
    const name = request.field('name')
    const missing = request.missing({ email, password })
    if (missing) return show(request, missing, 400)
    const { locale } = request
    const body = { email, password, locale, ...(name === '' ? {} : { name }) }
    const outcome = await request.callAnonymously(({ auth }) => auth.register.post(body))
    if (!outcome.ok) {
      const fieldOf = { email_taken: 'email', username_taken: 'username', weak_password: 'password' }
      return show(request, formErrors(outcome.problem, request.texts, { fieldOf }), outcome.problem.status)
    }
    const { challenge_id: challengeId, tokens } = outcome.data
    const returnTo = request.returnTo.url
    if (challengeId !== null) request.waitForCode({ kind: 'verification', challengeId, email, returnTo })
    if (tokens) await request.signIn(tokens)
    if (challengeId !== null) return redirect(request, '/verify-email')
    return redirect(request, tokens ? returnTo : '/sign-in')
  },
}

function show(request: BrowserRequest, errors: FormErrors | undefined, status: number): Response {
  const { origin } = request.returnTo
  const title = request.texts.signUp.title
  return renderPage(request, <SignUp errors={errors} />, { title, status, returnOrigin: origin })
}

function SignUp({ errors }: { errors: FormErrors | undefined }) {
  const { context, returnTo, texts } = useRequest()
  const { url } = returnTo
  const query = url === HOME ? '' : `?return_to=${encodeURIComponent(url)}`
  return (
    <CardPage
      title={texts.signUp.title}
      after={
        <>
          {texts.signUp.have} <a href={`/sign-in${query}`}>{texts.signUp.signIn}</a>
        </>
      }
    >
      {context.config.registrationOpen ? (
        <Form action="/sign-up" errors={errors} hidden={{ return_to: url === HOME ? undefined : url }}>
          <EmailField errors={errors} />
          <NewPasswordField name="password" label={texts.fields.password} errors={errors} />
          <NameField errors={errors} />
          <button type="submit" class="full">
            {texts.signUp.submit}
          </button>
        </Form>
      ) : (
        <p>{texts.signUp.closed}</p>
      )}
    </CardPage>
  )
}
