/** @jsxRuntime automatic @jsxImportSource preact */

import type { BrowserRequest } from '../browser-request.ts'
import { AccountPage, Section } from '../components/document.tsx'
import { Field, Form, NewPasswordField } from '../components/form.tsx'
import { useRequest } from '../components/request-context.ts'
import { type FormErrors, formErrors } from '../form-errors.ts'
import type { Page } from '../page.ts'
import { redirect, renderPage } from '../render.tsx'

/** `/account/security`: the password, and what happened lately. */
export const securityPage: Page = {
  path: '/account/security',
  signedIn: 'account',
  get: (request) => show(request, undefined, 200),
  async post(request) {
    const current_password = request.secret('current_password')
    const new_password = request.secret('new_password')
    const missing = request.missing({ current_password, new_password })
    if (missing) return show(request, missing, 400)
    const { id: user_id } = await request.user()
    const body = { current_password, new_password }
    const outcome = await request.call(({ users }) => users({ user_id })['change-password'].post(body))
    if (outcome.ok) return redirect(request, '/account/security?done=password')
    const options = {
      fieldOf: { invalid_credentials: 'current_password', weak_password: 'new_password' },
      wording: { invalid_credentials: 'wrong_password' },
    } as const
    return show(request, formErrors(outcome.problem, request.texts, options), outcome.problem.status)
  },
}

async function show(request: BrowserRequest, errors: FormErrors | undefined, status: number): Promise<Response> {
  const { email, has_password } = await request.user()
  const content = <Security hasPassword={has_password} email={email} errors={errors} />
  return renderPage(request, content, { title: request.texts.security.title, status })
}

interface SecurityProps {
  hasPassword: boolean
  email: string
  errors: FormErrors | undefined
}

function Security({ email, errors, hasPassword }: SecurityProps) {
  const { texts } = useRequest()
  return (
    <AccountPage title={texts.security.title}>
      <Section title={texts.security.password} lead={texts.security.passwordLead}>
        {hasPassword ? (
          <ChangePassword errors={errors} email={email} />
        ) : (
          <>
            <p>{texts.security.noPassword}</p>
            <a class="button quiet" href="/forgot-password">
              {texts.security.setPassword}
            </a>
          </>
        )}
      </Section>
    </AccountPage>
  )
}

function ChangePassword({ email, errors }: { email: string; errors: FormErrors | undefined }) {
  const { texts } = useRequest()
  return (
    <Form action="/account/security" errors={errors}>
      {/* Password managers file the new password under this name. */}
      <input type="text" name="login" value={email} autocomplete="username" readOnly hidden />
      <Field
        name="current_password"
        label={texts.fields.current_password}
        type="password"
        autocomplete="current-password"
        errors={errors}
      />
      <NewPasswordField name="new_password" label={texts.fields.new_password} errors={errors} />
      <button type="submit">{texts.security.change}</button>
    </Form>
  )
}
