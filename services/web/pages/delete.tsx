/** @jsxRuntime automatic @jsxImportSource preact */

import { ConfirmAgain, confirmAgain, type ProofNeeded, proofNeeded, refusalOf } from '../components/confirm-again.tsx'
import { AccountPage } from '../components/document.tsx'
import { Form, Sentence } from '../components/form.tsx'
import { redirect, renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import type { BrowserRequest } from '../request/browser-request.ts'
import { type FormErrors, formErrors } from '../request/form-errors.ts'
import type { Page } from './page.ts'

/** `/account/delete`: deletes the account, after a confirmation and recent authentication. */
export const deletePage: Page = {
  path: '/account/delete',
  signedIn: 'account',
  get: (request) => show(request, undefined, 200),
  async post(request) {
    if (request.field('confirmed') !== 'yes')
      return show(request, { fields: { confirmed: request.texts.remove.unconfirmed } }, 400)
    const refused = await confirmAgain(request)
    if (refused) return show(request, refused.errors, refused.status)
    const { id } = await request.user()
    const outcome = await request.call(({ users }) => users({ user_id: id }).delete())
    if (!outcome.ok) {
      const errors = formErrors(outcome.problem, request.texts, await refusalOf(request))
      return show(request, errors, outcome.problem.status)
    }
    request.signOut()
    return redirect(request, '/sign-in?done=deleted')
  },
}

async function show(request: BrowserRequest, errors: FormErrors | undefined, status: number): Promise<Response> {
  const { email } = await request.user()
  const content = <Delete email={email} errors={errors} proof={await proofNeeded(request, errors)} />
  return renderPage(request, content, { title: request.texts.remove.title, status })
}

interface DeleteProps {
  email: string
  errors: FormErrors | undefined
  proof: ProofNeeded | null
}

function Delete({ email, errors, proof }: DeleteProps) {
  const { form, texts } = useRequest()
  const error = errors?.fields.confirmed
  return (
    <AccountPage title={texts.remove.title} lead={texts.remove.lead}>
      <div class="card">
        <Form action="/account/delete" errors={errors}>
          <div class="field">
            <label class="check">
              <input
                type="checkbox"
                name="confirmed"
                value="yes"
                checked={form.get('confirmed') === 'yes'}
                required
                aria-describedby={error ? 'confirmed-error' : undefined}
                aria-invalid={error ? 'true' : undefined}
              />
              <span>
                <Sentence parts={texts.remove.confirm(email)} />
              </span>
            </label>
            {error && (
              <p class="error" id="confirmed-error">
                {error}
              </p>
            )}
          </div>
          <ConfirmAgain errors={errors} id="confirm" proof={proof} />
          <div class="actions">
            <button type="submit" class="danger">
              {texts.remove.submit}
            </button>
            <a href="/account">{texts.cancel}</a>
          </div>
        </Form>
      </div>
    </AccountPage>
  )
}
