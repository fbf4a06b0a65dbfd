/** @jsxRuntime automatic @jsxImportSource preact */

import { CardPage } from '../components/document.tsx'
import { Form } from '../components/form.tsx'
import { redirect, renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import type { BrowserRequest } from '../request/browser-request.ts'
import { type FormErrors, formErrors, LINK_WORDING } from '../request/form-errors.ts'
import { HOME } from '../request/return-to.ts'
import type { Page } from './page.ts'
import { openedSession, type Token } from './signing-in.ts'

/** `/sign-in-link?token=`: the link in the mail of a sign-in. Opening it changes nothing; its button does. */
export const signInLinkPage: Page = {
  path: '/sign-in-link',
  get: (request) => show(request, undefined, 200),
  async post(request) {
    const token = request.linkToken
    const outcome = await request.callAnonymously<Token>(({ auth }) => auth['email-code-login'].post({ token }))
    const next = await openedSession(request, outcome, '')
    if (next) return next
    if (outcome.ok) return redirect(request, HOME)
    return show(request, formErrors(outcome.problem, request.texts, { wording: LINK_WORDING }), outcome.problem.status)
  },
}

function show(request: BrowserRequest, errors: FormErrors | undefined, status: number): Response {
  return renderPage(request, <SignInLink errors={errors} />, { title: request.texts.signInLink.title, status })
}

function SignInLink({ errors }: { errors: FormErrors | undefined }) {
  const { linkToken, texts } = useRequest()
  return (
    <CardPage title={texts.signInLink.title} after={<a href="/sign-in">{texts.forgot.back}</a>}>
      <p>{texts.signInLink.lead}</p>
      <Form action="/sign-in-link" errors={errors} hidden={{ token: linkToken }}>
        <button type="submit" class="full">
          {texts.signInLink.submit}
        </button>
      </Form>
    </CardPage>
  )
}
