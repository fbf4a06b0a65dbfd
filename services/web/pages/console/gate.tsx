/** @jsxRuntime automatic @jsxImportSource preact */

import { ADMIN } from '../../../kit/caller.ts'
import { authenticationIn } from '../../../kit/tokens/access-token.ts'
import type { Api } from '../../../peers/pages.ts'
import { ConfirmAgain, confirmAgain, type ProofNeeded, proofOf } from '../../components/confirm-again.tsx'
import { CardPage } from '../../components/document.tsx'
import { failurePage } from '../../components/failure.tsx'
import { Form } from '../../components/form.tsx'
import { redirect, renderPage } from '../../components/render.tsx'
import { useRequest } from '../../components/request-context.ts'
import type { BrowserRequest } from '../../request/browser-request.ts'
import { mayOpenConsole } from '../../request/console.ts'
import type { FormErrors } from '../../request/form-errors.ts'
import { type Answer, expected, type Outcome } from '../../request/outcome.ts'
import { withReturn } from '../../request/return-to.ts'
import type { Page } from '../page.ts'

type Handler = (request: BrowserRequest) => Response | Promise<Response>

type Description = (request: BrowserRequest) => string | Promise<string>

interface ConsolePage extends Omit<Page, 'signedIn' | 'foreignForm'> {
  get: Handler
  post?: Handler
  /** Says what the form of the request does, for someone who has to confirm it. */
  does?: Description
}

/** The API refuses a call of the console. */
class Refused extends Error {
  constructor(readonly why: 'not found' | 'not recent') {
    super(`The API refuses a call of the console: ${why}`)
    this.name = 'Refused'
  }
}

/**
 * Makes a page of the console. Nobody but support people and administrators learns that it exists. It opens after a recent
 * authentication, with a second factor if the account has one; a form that comes too late is done once that is confirmed.
 */
export function consolePage({ does = () => '', get, post, ...page }: ConsolePage): Page {
  const proved = (handler: Handler) => async (request: BrowserRequest) => {
    try {
      await request.user()
      if (!mayOpenConsole(request)) noSuchPage()
      const unconfirmed = request.request.method === 'POST' ? await confirmAgain(request) : undefined
      if (unconfirmed) return await showConfirmation(request, does, unconfirmed)
      return (await isProved(request)) ? await handler(request) : await showWhatIsMissing(request, does)
    } catch (error) {
      if (error instanceof Refused && error.why === 'not recent') return await showWhatIsMissing(request, does)
      throw error
    }
  }
  const guarded = (handler: Handler) => async (request: BrowserRequest) => {
    try {
      return await proved(handler)(request)
    } catch (error) {
      if (error instanceof Refused) return failurePage(request, 'notFound', { status: 404 })
      throw error
    }
  }
  return { ...page, signedIn: 'account', get: guarded(get), ...(post ? { post: guarded(post) } : {}) }
}

/** Calls the API for a page of the console. @throws Refused, and as `BrowserRequest.call` */
export async function callFor<T>(request: BrowserRequest, call: (api: Api) => Promise<Answer<T>>): Promise<Outcome<T>> {
  const outcome = await request.call(call)
  if (outcome.ok) return outcome
  if (outcome.problem.code === 'reauthentication_required') throw new Refused('not recent')
  // The role was taken away a moment ago, or the API knows another role of support people.
  if (outcome.problem.code === 'forbidden') throw new Refused('not found')
  return outcome
}

/** Reads something for a page of the console. @returns null: there is no such user for the person */
export async function readFor<T>(request: BrowserRequest, call: (api: Api) => Promise<Answer<T>>): Promise<T | null> {
  const outcome = await callFor(request, call)
  return !outcome.ok && outcome.problem.status === 404 ? null : expected(outcome)
}

/** Answers as for an address that no page has. */
export function noSuchPage(): never {
  throw new Refused('not found')
}

/** Whether the session is as recent, and as well proved, as the console needs it. */
async function isProved(request: BrowserRequest): Promise<boolean> {
  const { reauthMaxAge } = request.context.config
  if (!hasRecentLogin(request)) return false
  if (authenticationIn(request.session?.accessToken ?? '').amr.includes('mfa')) return true
  if (mustHaveFactor(request)) return false
  return reauthMaxAge === undefined || (await request.factors()).items.length === 0
}

function hasRecentLogin({ context, session }: BrowserRequest): boolean {
  const { clock, config } = context
  const { authTime } = authenticationIn(session?.accessToken ?? '')
  return config.reauthMaxAge === undefined || clock.now() - authTime * 1000 <= config.reauthMaxAge
}

/** Whether the setting MFA demands a second factor of the person. */
function mustHaveFactor({ context, roles }: BrowserRequest): boolean {
  const { mfa } = context.config
  return mfa === 'all' || (mfa === 'admins' && roles.includes(ADMIN))
}

/** Sends the person to what the session lacks; for a form, it is confirmed in its place. */
async function showWhatIsMissing(request: BrowserRequest, does: Description): Promise<Response> {
  const { items } = await request.factors()
  if (items.length === 0 && hasRecentLogin(request)) return showEnrolment(request)
  if (request.request.method === 'POST') {
    const errors = emptyConfirmation(request)
    return await showConfirmation(
      request,
      does,
      errors ? { errors, status: 400 } : { errors: { fields: {} }, status: 401 },
    )
  }
  const { pathname, search } = request.url
  return redirect(request, withReturn('/sign-in?step=again', pathname + search))
}

/** Says which field of the confirmation was left empty; undefined: none, or the form is not the confirmation. */
function emptyConfirmation(request: BrowserRequest): FormErrors | undefined {
  const names = ['confirm_password', 'confirm_code'].filter((name) => request.form.has(name))
  return request.missing(Object.fromEntries(names.map((name) => [name, request.field(name)])))
}

function showEnrolment(request: BrowserRequest): Response {
  const { title } = request.texts.console.enrol
  return renderPage(request, <Enrolment />, { title, status: 403 })
}

function Enrolment() {
  const { enrol } = useRequest().texts.console
  return (
    <CardPage title={enrol.title}>
      <p>{enrol.lead}</p>
      <a class="button full" href="/account/security">
        {enrol.go}
      </a>
    </CardPage>
  )
}

async function showConfirmation(
  request: BrowserRequest,
  does: Description,
  { errors, status }: { errors: FormErrors; status: number },
): Promise<Response> {
  const content = <Confirmation what={await does(request)} errors={errors} proof={await proofOf(request)} />
  return renderPage(request, content, { title: request.texts.again.title, status })
}

interface ConfirmationProps {
  what: string
  errors: FormErrors
  proof: ProofNeeded
}

/** The form that came too late, with everything that was typed, and the fields that confirm it. */
function Confirmation({ errors, proof, what }: ConfirmationProps) {
  const request = useRequest()
  const { texts, typed, url } = request
  return (
    <CardPage title={texts.again.title}>
      <p>{proof.by === 'factor' ? texts.console.confirm.factorLead : texts.console.confirm.lead}</p>
      <p>
        <strong>{what}</strong>
      </p>
      <Form action={url.pathname} errors={errors} hidden={typed}>
        {/* The same id as on the page to sign in again, to which the address leads the script for newer options. */}
        <ConfirmAgain id="again" errors={errors} proof={proof} hint={texts.console.again.hint} />
        <div class="actions">
          <button type="submit">{texts.again.submit}</button>
          <a href={url.pathname}>{texts.cancel}</a>
        </div>
      </Form>
    </CardPage>
  )
}
