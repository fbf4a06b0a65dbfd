/** @jsxRuntime automatic @jsxImportSource preact */

import { ConfirmAgain, confirmAgain, type ProofNeeded, proofOf } from '../components/confirm-again.tsx'
import { CardPage } from '../components/document.tsx'
import { Form, Sentence } from '../components/form.tsx'
import { OtherAccount } from '../components/other-account.tsx'
import { redirect, renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import type { BrowserRequest } from '../request/browser-request.ts'
import { CONSOLE } from '../request/console.ts'
import type { FormErrors } from '../request/form-errors.ts'
import { returnField } from '../request/return-to.ts'

/** The step of `/sign-in` for who is signed in, and must show again who they are before they go on. */
export const againStep = {
  async post(request: BrowserRequest): Promise<Response> {
    const refused = missingAnswer(request, await proofOf(request)) ?? (await confirmAgain(request))
    if (refused) return await show(request, refused.errors, refused.status)
    return redirect(request, request.returnTo.url)
  },
  show,
}

function missingAnswer(
  request: BrowserRequest,
  { by }: ProofNeeded,
): { errors: FormErrors; status: number } | undefined {
  if (request.credential('confirm_credential')) return undefined
  const name = by === 'password' ? 'confirm_password' : 'confirm_code'
  const errors = request.missing({ [name]: request.secret(name) })
  return errors && { errors, status: 400 }
}

async function show(request: BrowserRequest, errors: FormErrors | undefined, status: number): Promise<Response> {
  const { email } = await request.user()
  const content = <Again email={email} errors={errors} proof={await proofOf(request)} />
  return renderPage(request, content, {
    title: request.texts.again.title,
    status,
    returnOrigin: request.returnTo.origin,
  })
}

function Again({ email, errors, proof }: { email: string; errors: FormErrors | undefined; proof: ProofNeeded }) {
  const { returnTo, texts } = useRequest()
  const isConsole = new URL(returnTo.url, 'http://localhost').pathname.startsWith(CONSOLE)
  const { hint, lead } = isConsole ? texts.console.again : texts.again
  return (
    <CardPage title={texts.again.title}>
      <p>
        <Sentence parts={lead(email)} />
      </p>
      <Form action="/sign-in" errors={errors} hidden={{ step: 'again', return_to: returnField(returnTo.url) }}>
        <ConfirmAgain id="again" errors={errors} proof={proof} hint={hint} />
        <button type="submit" class="full">
          {texts.again.submit}
        </button>
      </Form>
      <p class="or">{texts.or}</p>
      <OtherAccount returnTo={returnTo.url} />
    </CardPage>
  )
}
