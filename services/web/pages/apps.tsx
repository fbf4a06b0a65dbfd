/** @jsxRuntime automatic @jsxImportSource preact */

import type { GrantRead } from '../../auth/schemas/grants.ts'
import { ConfirmAgain, confirmAgain, type ProofNeeded, proofNeeded, refusalOf } from '../components/confirm-again.tsx'
import { AccountPage } from '../components/document.tsx'
import { Form } from '../components/form.tsx'
import { redirect, renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import { Scopes } from '../components/scopes.tsx'
import { Time } from '../components/time.tsx'
import type { BrowserRequest } from '../request/browser-request.ts'
import { type FormErrors, formErrors } from '../request/form-errors.ts'
import { expected } from '../request/outcome.ts'
import type { Page } from './page.ts'

const PATH = '/account/apps'

/** `/account/apps`: the apps that may use the account. Ends what one of them may do. */
export const appsPage: Page = {
  path: PATH,
  signedIn: 'account',
  get: (request) => show(request, undefined, 200),
  async post(request) {
    const unconfirmed = await confirmAgain(request)
    if (unconfirmed) return await show(request, unconfirmed.errors, unconfirmed.status)
    const grant = chosenOf(request, await grantsOf(request))
    if (!grant) return show(request, { fields: {}, summary: request.texts.problems.grant_not_found }, 404)
    const outcome = await request.call(({ auth }) => auth.grants({ grant_id: grant.id }).delete())
    if (outcome.ok) return redirect(request, `${PATH}?done=app`)
    const errors = formErrors(outcome.problem, request.texts, await refusalOf(request))
    return await show(request, errors, outcome.problem.status)
  },
}

async function grantsOf(request: BrowserRequest): Promise<readonly GrantRead[]> {
  return expected(await request.call(({ auth }) => auth.grants.get())).items
}

/** Finds the grant that the address names; undefined if the person has no such grant. */
function chosenOf({ url }: BrowserRequest, grants: readonly GrantRead[]): GrantRead | undefined {
  const chosen = url.searchParams.get('grant')
  return grants.find(({ id }) => id === chosen)
}

/** The address of the page that ends what one app may do. */
function addressOf({ id }: GrantRead): string {
  return `${PATH}?grant=${id}`
}

async function show(request: BrowserRequest, errors: FormErrors | undefined, status: number): Promise<Response> {
  const items = await grantsOf(request)
  const grant = chosenOf(request, items)
  const content = grant ? (
    <EndOne grant={grant} errors={errors} proof={await proofNeeded(request, errors)} />
  ) : (
    <Apps grants={items} errors={errors} />
  )
  return renderPage(request, content, { title: request.texts.apps.title, status })
}

function Apps({ errors, grants }: { errors: FormErrors | undefined; grants: readonly GrantRead[] }) {
  const { texts } = useRequest()
  return (
    <AccountPage title={texts.apps.title} lead={texts.apps.lead}>
      {errors?.summary && (
        <p class="note bad" role="alert">
          {errors.summary}
        </p>
      )}
      <div class="card">
        {grants.length === 0 ? (
          <p>{texts.apps.none}</p>
        ) : (
          <ul class="list">
            {grants.map((grant) => (
              <li key={grant.id}>
                <App grant={grant} />
              </li>
            ))}
          </ul>
        )}
      </div>
    </AccountPage>
  )
}

function App({ grant }: { grant: GrantRead }) {
  const { texts } = useRequest()
  return (
    <div class="row">
      <div>
        <p>
          <strong>{grant.client_name}</strong>
        </p>
        <Scopes scopes={grant.scopes} />
        <p class="muted small">
          {texts.apps.since}: <Time at={grant.created_at} />
        </p>
        <p class="muted small">
          {texts.sessions.used}: <Time at={grant.last_used_at} />
        </p>
      </div>
      <Form action={addressOf(grant)}>
        <button type="submit" class="quiet" aria-label={texts.apps.endNamed(grant.client_name)}>
          {texts.apps.end}
        </button>
      </Form>
    </div>
  )
}

interface EndOneProps {
  errors: FormErrors | undefined
  grant: GrantRead
  proof: ProofNeeded | null
}

function EndOne({ errors, grant, proof }: EndOneProps) {
  const { texts } = useRequest()
  return (
    <AccountPage title={texts.apps.title} lead={texts.apps.lead}>
      <div class="card">
        <h2>{texts.apps.endNamed(grant.client_name)}</h2>
        <Form action={addressOf(grant)} errors={errors}>
          <ConfirmAgain id="app" errors={errors} proof={proof} />
          <div class="actions">
            <button type="submit" class="danger">
              {texts.apps.end}
            </button>
            <a href={PATH}>{texts.cancel}</a>
          </div>
        </Form>
      </div>
    </AccountPage>
  )
}
