/** @jsxRuntime automatic @jsxImportSource preact */

import { CardPage } from '../components/document.tsx'
import { Form, NameField, NewPasswordField } from '../components/form.tsx'
import { redirect, renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import type { BrowserRequest } from '../request/browser-request.ts'
import { type FormErrors, formErrors, LINK_WORDING } from '../request/form-errors.ts'
import { HOME } from '../request/return-to.ts'
import type { Page } from './page.ts'
import { openedSession, type Token } from './signing-in.ts'

/** `/invitation?token=`: sets the first password of an invited person, and signs them in. */
export const invitationPage: Page = {
  path: '/invitation',
  get: (request) => show(request, undefined, 200),
  async post(request) {
    const token = request.linkToken
    const new_password = request.secret('new_password')
    const name = request.field('name')
    const missing = request.missing({ new_password })
    if (missing) return show(request, missing, 400)
    const body = { token, new_password, ...(name === '' ? {} : { name }) }
    const outcome = await request.callAnonymously<Token>(({ auth }) => auth['invitation-accept'].post(body))
    const next = await openedSession(request, outcome, '')
    if (next) return next
    if (outcome.ok) return redirect(request, HOME)
    const options = {
      fieldOf: { weak_password: 'new_password' },
      wording: LINK_WORDING,
    } as const
    return show(request, formErrors(outcome.problem, request.texts, options), outcome.problem.status)
  },
}

function show(request: BrowserRequest, errors: FormErrors | undefined, status: number): Response {
  return renderPage(request, <Invitation errors={errors} />, { title: request.texts.invitation.title, status })
}

function Invitation({ errors }: { errors: FormErrors | undefined }) {
  const { context, linkToken, texts } = useRequest()
  return (
    <CardPage title={texts.invitation.title}>
      <p>{texts.invitation.lead(context.config.productName)}</p>
      <Form action="/invitation" errors={errors} hidden={{ token: linkToken }}>
        <NewPasswordField autofocus name="new_password" label={texts.fields.password} errors={errors} />
        <NameField errors={errors} />
        <button type="submit" class="full">
          {texts.invitation.submit}
        </button>
      </Form>
    </CardPage>
  )
}
