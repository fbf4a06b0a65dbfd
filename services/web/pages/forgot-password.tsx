/** @jsxRuntime automatic @jsxImportSource preact */

import { CardPage } from '../components/document.tsx'
import { EmailField, Form, MailFolder, Sentence } from '../components/form.tsx'
import { renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import type { BrowserRequest } from '../request/browser-request.ts'
import { type FormErrors, formErrors } from '../request/form-errors.ts'
import type { Page } from './page.ts'

/** `/forgot-password`: mails a link with which a password is set. The answer is the same for every address. */
export const forgotPasswordPage: Page = {
  path: '/forgot-password',
  get: (request) => show(request, undefined, 200),
  async post(request) {
    const email = request.field('email')
    const missing = request.missing({ email })
    if (missing) return show(request, missing, 400)
    const outcome = await request.callAnonymously(({ auth }) => auth['password-reset-request'].post({ email }))
    if (!outcome.ok) return show(request, formErrors(outcome.problem, request.texts), outcome.problem.status)
    return renderPage(request, <Sent email={email} />, { title: request.texts.forgot.sentTitle })
  },
}

function show(request: BrowserRequest, errors: FormErrors | undefined, status: number): Response {
  return renderPage(request, <ForgotPassword errors={errors} />, { title: request.texts.forgot.title, status })
}

function ForgotPassword({ errors }: { errors: FormErrors | undefined }) {
  const { texts } = useRequest()
  return (
    <CardPage title={texts.forgot.title} after={<a href="/sign-in">{texts.forgot.back}</a>}>
      <p>{texts.forgot.lead}</p>
      <Form action="/forgot-password" errors={errors}>
        <EmailField errors={errors} />
        <button type="submit" class="full">
          {texts.forgot.submit}
        </button>
      </Form>
    </CardPage>
  )
}

function Sent({ email }: { email: string }) {
  const { texts } = useRequest()
  return (
    <CardPage title={texts.forgot.sentTitle} after={<a href="/sign-in">{texts.forgot.back}</a>}>
      <p role="status">
        <Sentence parts={texts.forgot.sent(email)} />
      </p>
      <MailFolder />
    </CardPage>
  )
}
