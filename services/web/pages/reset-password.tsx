/** @jsxRuntime automatic @jsxImportSource preact */

import { CardPage } from '../components/document.tsx'
import { Form, NewPasswordField } from '../components/form.tsx'
import { redirect, renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import type { BrowserRequest } from '../request/browser-request.ts'
import { type FormErrors, formErrors } from '../request/form-errors.ts'
import type { Page } from './page.ts'

/** `/reset-password?token=`: sets a password, by the link of a mail. Every session ends, the browser's own too. */
export const resetPasswordPage: Page = {
  path: '/reset-password',
  get: (request) => show(request, undefined, 200),
  async post(request) {
    const token = request.linkToken
    const new_password = request.secret('new_password')
    const missing = request.missing({ new_password })
    if (missing) return show(request, missing, 400)
    const outcome = await request.callAnonymously(({ auth }) =>
      auth['password-reset-confirm'].post({ token, new_password }),
    )
    if (!outcome.ok) {
      const { problem, texts } = { ...outcome, texts: request.texts }
      return show(request, formErrors(problem, texts, { fieldOf: { weak_password: 'new_password' } }), problem.status)
    }
    request.signOut()
    return redirect(request, '/sign-in?done=reset')
  },
}

function show(request: BrowserRequest, errors: FormErrors | undefined, status: number): Response {
  return renderPage(request, <ResetPassword errors={errors} />, { title: request.texts.reset.title, status })
}

function ResetPassword({ errors }: { errors: FormErrors | undefined }) {
  const { linkToken, texts } = useRequest()
  return (
    <CardPage title={texts.reset.title} after={<a href="/forgot-password">{texts.reset.again}</a>}>
      <Form action="/reset-password" errors={errors} hidden={{ token: linkToken }}>
        <NewPasswordField autofocus name="new_password" label={texts.fields.new_password} errors={errors} />
        <button type="submit" class="full">
          {texts.reset.submit}
        </button>
      </Form>
    </CardPage>
  )
}
