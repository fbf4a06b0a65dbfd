/** @jsxRuntime automatic @jsxImportSource preact */

import type { AuthorizationAnswer } from '../../auth/schemas/authorizations.ts'
import type { UserRead } from '../../kit/schema/user.ts'
import { CardPage } from '../components/document.tsx'
import { Form, Sentence } from '../components/form.tsx'
import { OtherAccount } from '../components/other-account.tsx'
import { redirect, renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import { Scopes } from '../components/scopes.tsx'
import {
  AUTHORIZE,
  type AuthorizationParameters,
  addressWith,
  authorizationParameters,
  sourceOf,
} from '../request/authorization.ts'
import type { BrowserRequest } from '../request/browser-request.ts'
import { authorization } from './authorize.ts'
import { asPerson, badRequestOfApp, refuseApp, toApp } from './oauth-request.ts'
import type { Page } from './page.ts'

const PATH = '/oauth/consent'

/** `/oauth/consent`: asks whether an app may use the account. Its address has the parameters of the authorization. */
export const consentPage: Page = {
  path: PATH,
  get: (request) => goOn(request),
  post(request) {
    const consent = request.field('consent')
    return goOn(request, consent === 'given' || consent === 'denied' ? consent : undefined)
  },
}

async function goOn(request: BrowserRequest, consent?: 'given' | 'denied'): Promise<Response> {
  const parameters = authorizationParameters(request.url.searchParams)
  if (!parameters) return badRequestOfApp(request)
  const answer = await asPerson(request, () => ask(request, parameters, consent))
  return answer ?? redirect(request, addressWith(AUTHORIZE, parameters))
}

async function ask(
  request: BrowserRequest,
  parameters: AuthorizationParameters,
  consent: 'given' | 'denied' | undefined,
): Promise<Response> {
  const address = addressWith(AUTHORIZE, parameters)
  const outcome = await authorization(request, parameters, consent)
  if (!outcome.ok) return refuseApp(request, outcome.problem)
  const { client, outcome: next, redirect_to, scopes } = outcome.data
  if (next === 'sign_in') return redirect(request, address)
  if (next === 'consent') return showConsent(request, parameters, { client, scopes, user: await request.user() })
  request.authorizations.end(address)
  return toApp(request, redirect_to)
}

function showConsent(request: BrowserRequest, parameters: AuthorizationParameters, question: Question): Response {
  const content = (
    <Consent {...question} action={addressWith(PATH, parameters)} back={addressWith(AUTHORIZE, parameters)} />
  )
  return renderPage(request, content, {
    title: request.texts.consent.title(question.client.name),
    returnOrigin: sourceOf(parameters.redirect_uri),
  })
}

type Question = Pick<AuthorizationAnswer, 'client' | 'scopes'> & { user: UserRead }

function Consent({ action, back, client, scopes, user }: Question & { action: string; back: string }) {
  const { texts } = useRequest()
  return (
    <CardPage title={texts.consent.title(client.name)}>
      <p>
        <Sentence parts={texts.consent.account(user.email)} />
      </p>
      <p>{texts.consent.lead}</p>
      <Scopes scopes={scopes} />
      <p class="muted small">{texts.consent.later}</p>
      <Form action={action}>
        <button type="submit" class="full" name="consent" value="given">
          {texts.consent.allow}
        </button>
        <button type="submit" class="quiet full" name="consent" value="denied">
          {texts.consent.deny}
        </button>
      </Form>
      <p class="or">{texts.or}</p>
      <OtherAccount returnTo={back} />
    </CardPage>
  )
}
