/** @jsxRuntime automatic @jsxImportSource preact */

import type { SessionRead } from '../../auth/schemas/sessions.ts'
import { deviceName } from '../../kit/device-name.ts'
import { AccountPage } from '../components/document.tsx'
import { Form } from '../components/form.tsx'
import { redirect, renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import { Time } from '../components/time.tsx'
import type { BrowserRequest } from '../request/browser-request.ts'
import { type FormErrors, formErrors } from '../request/form-errors.ts'
import { expected } from '../request/outcome.ts'
import type { Page } from './page.ts'

/** Rows of a page: the most that the API gives at once. */
const SHOWN = 200

/** `/account/sessions`: where the person is signed in. Ends one session, or all others. */
export const sessionsPage: Page = {
  path: '/account/sessions',
  signedIn: 'account',
  get: (request) => show(request, undefined, 200),
  async post(request) {
    if (request.field('session_id') === '') return await endOthers(request)
    const session_id = request.id('session_id')
    if (session_id === undefined)
      return show(request, { fields: {}, summary: request.texts.problems.session_not_found }, 404)
    const outcome = await request.call(({ auth }) => auth.sessions({ session_id }).delete())
    if (!outcome.ok) return show(request, formErrors(outcome.problem, request.texts), outcome.problem.status)
    if (session_id !== request.session?.id) return redirect(request, '/account/sessions?done=session')
    request.signOut()
    return redirect(request, '/sign-in?done=signed-out')
  },
}

async function endOthers(request: BrowserRequest): Promise<Response> {
  // Page after page, because each one ends the sessions that it lists.
  for (;;) {
    const { items } = await sessionsOf(request)
    const others = items.filter(({ current }) => !current)
    if (others.length === 0) return redirect(request, '/account/sessions?done=sessions')
    for (const { id: session_id } of others) {
      const outcome = await request.call(({ auth }) => auth.sessions({ session_id }).delete())
      if (!outcome.ok && outcome.problem.code !== 'session_not_found') expected(outcome)
    }
  }
}

async function sessionsOf(request: BrowserRequest): Promise<{ items: SessionRead[]; next_cursor: string | null }> {
  return expected(await request.call(({ auth }) => auth.sessions.get({ query: { size: String(SHOWN) } as never })))
}

async function show(request: BrowserRequest, errors: FormErrors | undefined, status: number): Promise<Response> {
  const { items, next_cursor } = await sessionsOf(request)
  // The person's own device first, then those that were used last.
  const sessions = items.toSorted(
    (a, b) => Number(b.current) - Number(a.current) || b.last_used_at.localeCompare(a.last_used_at),
  )
  const content = <Sessions sessions={sessions} isCut={next_cursor !== null} errors={errors} />
  return renderPage(request, content, { title: request.texts.sessions.title, status })
}

function Sessions({
  errors,
  isCut,
  sessions,
}: {
  errors: FormErrors | undefined
  isCut: boolean
  sessions: SessionRead[]
}) {
  const { texts } = useRequest()
  return (
    <AccountPage title={texts.sessions.title} lead={texts.sessions.lead}>
      {errors?.summary && (
        <p class="note bad" role="alert">
          {errors.summary}
        </p>
      )}
      <div class="card">
        <ul class="list">
          {sessions.map((session) => (
            <Session key={session.id} session={session} />
          ))}
        </ul>
      </div>
      {isCut && <p class="muted">{texts.sessions.more}</p>}
      {sessions.length > 1 && (
        <Form action="/account/sessions">
          <button type="submit" class="danger">
            {texts.sessions.endOthers}
          </button>
        </Form>
      )}
    </AccountPage>
  )
}

function Session({ session }: { session: SessionRead }) {
  const { texts } = useRequest()
  const device = deviceName(session.user_agent ?? '') ?? texts.sessions.unknownDevice
  return (
    <li>
      <div class="row">
        <div>
          <p>
            <strong>{device}</strong> {session.current && <span class="tag good">{texts.sessions.current}</span>}
          </p>
          <p class="muted small">
            {texts.sessions.opened}: <Time at={session.created_at} />
          </p>
          <p class="muted small">
            {texts.sessions.used}: <Time at={session.last_used_at} />
          </p>
          {session.ip !== null && (
            <p class="muted small">
              {texts.sessions.address}: {session.ip}
            </p>
          )}
        </div>
        {!session.current && (
          <Form action="/account/sessions" hidden={{ session_id: session.id }}>
            <button type="submit" class="quiet" aria-label={texts.sessions.endNamed(device)}>
              {texts.sessions.end}
            </button>
          </Form>
        )}
      </div>
    </li>
  )
}
