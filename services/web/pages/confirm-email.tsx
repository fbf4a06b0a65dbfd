/** @jsxRuntime automatic @jsxImportSource preact */

import { CardPage } from '../components/document.tsx'
import { Form } from '../components/form.tsx'
import { redirect, renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import type { BrowserRequest } from '../request/browser-request.ts'
import { type FormErrors, formErrors, LINK_WORDING } from '../request/form-errors.ts'
import type { Page } from './page.ts'

/** `/confirm-email?token=`: the link in the mail to a new address. Only the person who asked for the change can use it. */
export const confirmEmailPage: Page = {
  path: '/confirm-email',
  signedIn: 'account',
  get: (request) => show(request, undefined, 200),
  async post(request) {
    const token = request.linkToken
    const outcome = await request.call(({ auth }) => auth['email-change-confirm'].post({ token }))
    if (outcome.ok) return redirect(request, '/account?done=email')
    return show(request, formErrors(outcome.problem, request.texts, { wording: LINK_WORDING }), outcome.problem.status)
  },
}

function show(request: BrowserRequest, errors: FormErrors | undefined, status: number): Response {
  return renderPage(request, <ConfirmEmail errors={errors} />, { title: request.texts.confirmEmail.title, status })
}

function ConfirmEmail({ errors }: { errors: FormErrors | undefined }) {
  const { linkToken, texts } = useRequest()
  return (
    <CardPage title={texts.confirmEmail.title} after={<a href="/account">{texts.nav.account}</a>}>
      <p>{texts.confirmEmail.lead}</p>
      <Form action="/confirm-email" errors={errors} hidden={{ token: linkToken }}>
        <button type="submit" class="full">
          {texts.confirmEmail.submit}
        </button>
      </Form>
    </CardPage>
  )
}
