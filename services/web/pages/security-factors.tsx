/** @jsxRuntime automatic @jsxImportSource preact */

import type { EnrolledAnswer } from '../../auth/schemas/factors.ts'
import { confirmAgain, refusalOf } from '../components/confirm-again.tsx'
import { AccountPage } from '../components/document.tsx'
import { RecoveryCodes } from '../components/recovery-codes.tsx'
import { redirect, renderPage } from '../components/render.tsx'
import type { BrowserRequest } from '../request/browser-request.ts'
import { enrolmentErrors } from '../request/enrolment-errors.ts'
import { type FormErrors, formErrors } from '../request/form-errors.ts'
import type { Outcome } from '../request/outcome.ts'
import { HOME } from '../request/return-to.ts'
import { addressOfView, type FactorAction, factorOf, showFactorView } from './security-views.tsx'

/** How long an app waits for its first code, in milliseconds. */
const APP_WAIT = 10 * 60_000

type Refused = Extract<Outcome<unknown>, { ok: false }>

/** The actions of `/account/security` on second factors. Each needs recent authentication. */
export const FACTOR_ACTIONS: Record<FactorAction, (request: BrowserRequest) => Promise<Response>> = {
  /** Authenticates the person again, and nothing else. */
  async confirm(request) {
    const unconfirmed = await refuseUnconfirmed(request, 'confirm')
    if (unconfirmed) return unconfirmed
    return redirect(request, addressOfView(request))
  },

  async app(request) {
    const unconfirmed = await refuseUnconfirmed(request, 'app')
    if (unconfirmed) return unconfirmed
    const outcome = await request.call(({ auth }) => auth.factors.totp.post({}))
    if (!outcome.ok) return await refuse(request, 'app', outcome)
    const { id, uri } = outcome.data
    const until = request.context.clock.now() + APP_WAIT
    request.waitForCode({ kind: 'app', challengeId: '', email: '', returnTo: HOME, until, app: { id, uri } })
    return redirect(request, '/account/security?step=app')
  },

  async 'app-code'(request) {
    const app = request.pendingCode('app')?.app
    if (!app) return await show(request, 'app', { fields: {}, summary: request.texts.problems.app_expired }, 400)
    const code = request.code
    const missing = request.missing({ code })
    if (missing) return await show(request, 'app-code', missing, 400)
    const unconfirmed = await refuseUnconfirmed(request, 'app-code')
    if (unconfirmed) return unconfirmed
    const outcome = await request.call<EnrolledAnswer>(({ auth }) =>
      auth.factors.totp.confirm.post({ id: app.id, code }),
    )
    if (outcome.ok) return await added(request, outcome.data)
    if (outcome.problem.code !== 'factor_not_found') return await refuse(request, 'app-code', outcome)
    request.endWait()
    return await refuse(request, 'app', outcome)
  },

  async passkey(request) {
    const credential = request.credential() ?? {}
    const name = request.field('name')
    const body = { credential, ...(name === '' ? {} : { name }) }
    const outcome = await request.call<EnrolledAnswer>(({ auth }) => auth.passkeys.post(body as never) as never)
    return outcome.ok ? await added(request, outcome.data) : await refuse(request, 'passkey', outcome)
  },

  async codes(request) {
    const unconfirmed = await refuseUnconfirmed(request, 'codes')
    if (unconfirmed) return unconfirmed
    const outcome = await request.call(({ auth }) => auth['recovery-codes'].post({}))
    if (!outcome.ok) return await refuse(request, 'codes', outcome)
    return showCodes(request, outcome.data.recovery_codes, '/account/security')
  },

  async rename(request) {
    const name = request.field('name')
    const missing = request.missing({ name })
    if (missing) return await show(request, 'rename', missing, 400)
    const unconfirmed = await refuseUnconfirmed(request, 'rename')
    if (unconfirmed) return unconfirmed
    const id = await idOfFactor(request)
    const outcome = await request.call(({ auth }) => auth.factors({ id }).patch({ name }))
    if (!outcome.ok) return await refuse(request, 'rename', outcome)
    return redirect(request, '/account/security?done=factor-renamed')
  },

  async remove(request) {
    const unconfirmed = await refuseUnconfirmed(request, 'remove')
    if (unconfirmed) return unconfirmed
    const id = await idOfFactor(request)
    const outcome = await request.call(({ auth }) => auth.factors({ id }).delete())
    if (!outcome.ok) return await refuse(request, 'remove', outcome)
    return redirect(request, '/account/security?done=factor-removed')
  },
}

/** The id of the factor in the address. One that the person does not have leads to the answer of the API about nobody's. */
async function idOfFactor(request: BrowserRequest): Promise<string> {
  return (await factorOf(request))?.id ?? '00000000-0000-4000-8000-000000000000'
}

async function refuseUnconfirmed(request: BrowserRequest, action: FactorAction): Promise<Response | null> {
  const refused = await confirmAgain(request)
  return refused ? await show(request, action, refused.errors, refused.status) : null
}

async function refuse(request: BrowserRequest, action: FactorAction, { problem }: Refused): Promise<Response> {
  const options = await refusalOf(request)
  const isEnrolment = action === 'app' || action === 'app-code' || action === 'passkey'
  const errors = isEnrolment
    ? enrolmentErrors(problem, request.texts, options)
    : formErrors(problem, request.texts, options)
  return await show(request, action, errors, problem.status)
}

function show(request: BrowserRequest, action: FactorAction, errors: FormErrors, status: number): Promise<Response> {
  return showFactorView(request, { action, errors }, status)
}

/** Goes on after a factor was added: to its recovery codes, if there are any. */
async function added(request: BrowserRequest, { recovery_codes }: EnrolledAnswer): Promise<Response> {
  request.endWait()
  // The session has the second factor from now on, and its tokens must say so.
  await request.renewTokens()
  const next = '/account/security?done=factor-added'
  return recovery_codes ? showCodes(request, recovery_codes, next) : redirect(request, next)
}

function showCodes(request: BrowserRequest, codes: readonly string[], next: string): Response {
  const { title } = request.texts.recovery
  const content = (
    <AccountPage title={title}>
      <div class="card">
        <div class="forms">
          <RecoveryCodes codes={codes} next={next} />
        </div>
      </div>
    </AccountPage>
  )
  return renderPage(request, content, { title })
}
