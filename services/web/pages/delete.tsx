/** @jsxRuntime automatic @jsxImportSource preact */

import { ConfirmPassword, confirmPassword, REAUTHENTICATION } from '../components/confirm-password.tsx'
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
    const refused = await confirmPassword(request)
    if (refused) return show(request, refused.errors, refused.status)
    const { id } = await request.user()
    const outcome = await request.call(({ users }) => users({ user_id: id }).delete())
    if (!outcome.ok) {
      const errors = formErrors(outcome.problem, request.texts, { fieldOf: REAUTHENTICATION })
      return show(request, errors, outcome.problem.status)
    }
    request.signOut()
    return redirect(request, '/sign-in?done=deleted')
  },
}

async function show(request: BrowserRequest, errors: FormErrors | undefined, status: number): Promise<Response> {
  const { email } = await request.user()
  const content = <Delete email={email} errors={errors} />
  return renderPage(request, content, { title: request.texts.remove.title, status })
}

function Delete({ email, errors }: { email: string; errors: FormErrors | undefined }) {
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
          <ConfirmPassword errors={errors} id="confirm_password" />
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
