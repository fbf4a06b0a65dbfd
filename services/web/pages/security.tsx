/** @jsxRuntime automatic @jsxImportSource preact */

import type { Activity } from '../../auth/schemas/audit.ts'
import type { FactorList } from '../../auth/schemas/factors.ts'
import type { UserRead } from '../../kit/schema/user.ts'
import { AccountPage, Section } from '../components/document.tsx'
import { Factors } from '../components/factor-list.tsx'
import { Field, Form, NewPasswordField } from '../components/form.tsx'
import { redirect, renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import { Time } from '../components/time.tsx'
import type { BrowserRequest } from '../request/browser-request.ts'
import { type FormErrors, formErrors } from '../request/form-errors.ts'
import { expected } from '../request/outcome.ts'
import type { Page } from './page.ts'
import { FACTOR_ACTIONS } from './security-factors.tsx'
import { type FactorAction, hasFactorView, showFactorView } from './security-views.tsx'

/** Rows of the recent activity on one page. */
const SHOWN = '20'

/** `/account/security`: the password, the second factors and passkeys, and what happened lately. */
export const securityPage: Page = {
  path: '/account/security',
  signedIn: 'account',
  get: (request) => (hasFactorView(request) ? showFactorView(request) : show(request, undefined, 200)),
  async post(request) {
    const action = request.field('action')
    if (Object.hasOwn(FACTOR_ACTIONS, action)) return await FACTOR_ACTIONS[action as FactorAction](request)
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
  const user = await request.user()
  const factors = await request.factors()
  const activity = await activityOf(request)
  const content = <Security user={user} factors={factors} activity={activity} errors={errors} />
  return renderPage(request, content, { title: request.texts.security.title, status })
}

interface Rows {
  items: readonly Activity[]
  next_cursor: string | null
}

/** A part of the recent activity: the newest rows, or those after the cursor in the address. */
async function activityOf(request: BrowserRequest): Promise<Rows> {
  const cursor = request.url.searchParams.get('cursor')
  const query = { size: SHOWN, ...(cursor === null ? {} : { cursor }) }
  const outcome = await request.call<Rows>(({ auth }) => auth.activity.get({ query: query as never }))
  // A cursor that someone changed.
  if (!outcome.ok && outcome.problem.status === 400) return { items: [], next_cursor: null }
  const { items, next_cursor } = expected(outcome)
  // A registration creates the account: one of the two rows says so.
  const isRegistered = items.some(({ type }) => type === 'user.registered')
  return { items: items.filter(({ type }) => !(isRegistered && type === 'user.created')), next_cursor }
}

interface SecurityProps {
  activity: Rows
  user: UserRead
  factors: FactorList
  errors: FormErrors | undefined
}

function Security({ activity, errors, factors, user }: SecurityProps) {
  const { texts } = useRequest()
  return (
    <AccountPage title={texts.security.title}>
      <Section title={texts.security.password} lead={texts.security.passwordLead}>
        {user.has_password ? (
          <ChangePassword errors={errors} email={user.email} />
        ) : (
          <>
            <p>{texts.security.noPassword}</p>
            <a class="button quiet" href="/forgot-password">
              {texts.security.setPassword}
            </a>
          </>
        )}
      </Section>
      <Factors isVerified={user.email_verified} list={factors} />
      <Section title={texts.security.activity} lead={texts.security.activityLead}>
        <RecentActivity rows={activity} />
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

function RecentActivity({ rows }: { rows: Rows }) {
  const { texts, url } = useRequest()
  const isNewest = !url.searchParams.has('cursor')
  return (
    <div id="activity">
      {rows.items.length === 0 ? (
        <p>{texts.security.none}</p>
      ) : (
        <ul class="list">
          {rows.items.map(({ at, id, ip, type }) => (
            <li key={id}>
              <p>{texts.activity[type as keyof typeof texts.activity] ?? type}</p>
              <p class="muted small">
                <Time at={at} />
                {ip !== null && ` · ${ip}`}
              </p>
            </li>
          ))}
        </ul>
      )}
      {(!isNewest || rows.next_cursor !== null) && (
        <p class="actions more">
          {!isNewest && <a href="/account/security#activity">{texts.security.newest}</a>}
          {rows.next_cursor !== null && (
            <a href={`/account/security?cursor=${encodeURIComponent(rows.next_cursor)}#activity`}>
              {texts.security.older}
            </a>
          )}
        </p>
      )}
    </div>
  )
}
