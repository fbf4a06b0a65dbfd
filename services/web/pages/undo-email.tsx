/** @jsxRuntime automatic @jsxImportSource preact */

import { CardPage } from '../components/document.tsx'
import { Form, MailFolder } from '../components/form.tsx'
import { renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import type { BrowserRequest } from '../request/browser-request.ts'
import { type FormErrors, formErrors, LINK_WORDING } from '../request/form-errors.ts'
import type { Page } from './page.ts'

/** `/undo-email?token=`: the link in the mail to an earlier address. Its button restores that address. */
export const undoEmailPage: Page = {
  path: '/undo-email',
  get: (request) => show(request, undefined, 200),
  async post(request) {
    const token = request.linkToken
    const outcome = await request.callAnonymously(({ auth }) => auth['email-change-undo'].post({ token }))
    if (!outcome.ok) {
      return show(
        request,
        formErrors(outcome.problem, request.texts, { wording: LINK_WORDING }),
        outcome.problem.status,
      )
    }
    request.signOut()
    return renderPage(request, <Restored />, { title: request.texts.undo.doneTitle })
  },
}

function show(request: BrowserRequest, errors: FormErrors | undefined, status: number): Response {
  return renderPage(request, <UndoEmail errors={errors} />, { title: request.texts.undo.title, status })
}

function UndoEmail({ errors }: { errors: FormErrors | undefined }) {
  const { linkToken, texts } = useRequest()
  return (
    <CardPage title={texts.undo.title}>
      <p>{texts.undo.lead}</p>
      <p class="muted">{texts.undo.effects}</p>
      <Form action="/undo-email" errors={errors} hidden={{ token: linkToken }}>
        <button type="submit" class="full">
          {texts.undo.submit}
        </button>
      </Form>
    </CardPage>
  )
}

function Restored() {
  const { texts } = useRequest()
  return (
    <CardPage title={texts.undo.doneTitle} after={<a href="/sign-in">{texts.forgot.back}</a>}>
      <p role="status">{texts.undo.done}</p>
      <MailFolder />
    </CardPage>
  )
}
