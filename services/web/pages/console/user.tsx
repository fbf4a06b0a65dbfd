/** @jsxRuntime automatic @jsxImportSource preact */

import type { UserRead } from '../../../kit/schema/user.ts'
import { redirect, renderPage } from '../../components/render.tsx'
import type { BrowserRequest } from '../../request/browser-request.ts'
import { CONSOLE } from '../../request/console.ts'
import { type FormErrors, formErrors, type Wording } from '../../request/form-errors.ts'
import type { Outcome } from '../../request/outcome.ts'
import { ACTIONS, actionIn } from './actions.ts'
import { addressOf } from './frame.tsx'
import { callFor, consolePage, noSuchPage } from './gate.tsx'
import { readFacts, userAt } from './user-facts.ts'
import { UserView } from './user-view.tsx'

/** `/console/users/{user_id}`: one user, why their sign-ins fail, and what helps them. */
export const userPage = consolePage({
  path: `${CONSOLE}/users/:user_id`,
  async does(request) {
    const { actions } = request.texts.console
    const name = request.field('action')
    const label = Object.hasOwn(actions, name) ? actions[name as keyof typeof actions].submit : ''
    return `${label} · ${(await userAt(request)).email}`
  },
  get: async (request) => await show(request, await userAt(request), undefined, 200),
  async post(request) {
    const user = await userAt(request)
    if (request.field('action') === 'end-session') return await endSession(request, user)
    const name = actionIn(request)
    if (name === undefined) return await show(request, user, undefined, 400)
    const { call, done, ...action } = ACTIONS[name]
    const wording: Wording = 'wording' in action ? action.wording : {}
    return await answer(request, user, await callFor<unknown>(request, (api) => call(api, user)), {
      name,
      done,
      wording,
    })
  },
})

async function endSession(request: BrowserRequest, user: UserRead): Promise<Response> {
  const name = 'end-session'
  // An id that has another form than ids is that of no session.
  const session_id = request.id('session_id') ?? '-'
  const outcome = await callFor<unknown>(request, ({ auth }) => auth.sessions({ session_id }).delete())
  return await answer(request, user, outcome, { name, done: 'session-ended', wording: {} })
}

interface Sent {
  name: string
  done: string
  wording: Wording
}

async function answer(
  request: BrowserRequest,
  user: UserRead,
  outcome: Outcome<unknown>,
  { done, name, wording }: Sent,
): Promise<Response> {
  if (outcome.ok) return redirect(request, `${addressOf(user)}?done=${done}`)
  const { problem } = outcome
  // They were deleted, or got a role whose users support people do not see.
  if (problem.code === 'user_not_found') noSuchPage()
  const { [problem.code]: word } = wording
  const sentence = word === undefined ? problem : { ...problem, errors: [] }
  const { fields, summary } = formErrors(sentence, request.texts, { wording })
  // The forms have no fields beside which an error could be.
  const errors = { fields: {}, summary: summary ?? Object.values(fields).join(' ') }
  return await show(request, user, { name, errors }, problem.status)
}

async function show(
  request: BrowserRequest,
  user: UserRead,
  sent: { name: string; errors: FormErrors } | undefined,
  status: number,
): Promise<Response> {
  const facts = await readFacts(request, user)
  return renderPage(request, <UserView facts={facts} sent={sent} />, { title: user.email, status })
}
