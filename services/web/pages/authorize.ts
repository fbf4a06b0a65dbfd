import { redirect } from '../components/render.tsx'
import {
  AUTHORIZE,
  type AuthorizationParameters,
  addressWith,
  authorizationParameters,
  LONGEST_AUTHORIZATION,
  sourceOf,
} from '../request/authorization.ts'
import type { BrowserRequest } from '../request/browser-request.ts'
import { withReturn } from '../request/return-to.ts'
import { asLink, asPerson, badRequestOfApp, refuseApp, toApp } from './oauth-request.ts'
import type { Page } from './page.ts'

/**
 * `/oauth/authorize`: where an app sends a person to sign in (OpenID Connect Core 1.0, 3.1.2). It leads to the sign-in, to
 * the consent, or back to the app, and has nothing to show but an error.
 */
export const authorizePage: Page = {
  path: AUTHORIZE,
  async get(request) {
    const parameters = authorizationParameters(request.url.searchParams)
    if (!parameters || addressWith(AUTHORIZE, parameters).length > LONGEST_AUTHORIZATION)
      return badRequestOfApp(request)
    return (await asPerson(request, () => authorize(request, parameters))) ?? (await signInFor(request, parameters))
  },
  post: asLink,
  foreignForm: asLink,
}

/** Goes on with an authorization of who is signed in. */
async function authorize(request: BrowserRequest, parameters: AuthorizationParameters): Promise<Response> {
  const address = addressWith(AUTHORIZE, parameters)
  const outcome = await authorization(request, parameters)
  if (!outcome.ok) return refuseApp(request, outcome.problem)
  const { outcome: next, redirect_to } = outcome.data
  if (next === 'consent') return redirect(request, addressWith('/oauth/consent', parameters))
  if (next === 'sign_in') return signIn(request, '/sign-in?step=again', parameters)
  request.authorizations.end(address)
  return toApp(request, redirect_to)
}

/** Asks auth for an authorization of who is signed in. @param consent what the person has answered */
export function authorization(
  request: BrowserRequest,
  parameters: AuthorizationParameters,
  consent?: 'given' | 'denied',
) {
  const started_at = request.authorizations.startOf(addressWith(AUTHORIZE, parameters))
  const body = {
    ...parameters,
    ...(started_at === undefined ? {} : { started_at }),
    ...(consent === undefined ? {} : { consent }),
  }
  return request.call(({ auth }) => auth.authorizations.post(body))
}

/** Checks the authorization of someone who is not signed in, and sends them to the sign-in. */
async function signInFor(request: BrowserRequest, parameters: AuthorizationParameters): Promise<Response> {
  const outcome = await request.callAnonymously(({ auth }) => auth.authorizations.get({ query: parameters }))
  if (!outcome.ok) return refuseApp(request, outcome.problem)
  if (outcome.data.outcome === 'redirect') return toApp(request, outcome.data.redirect_to)
  return signIn(request, '/sign-in', parameters)
}

/** Sends the person to a page of the sign-in, from which they come back here. Auth has checked the parameters. */
function signIn(request: BrowserRequest, page: string, parameters: AuthorizationParameters): Response {
  const address = addressWith(AUTHORIZE, parameters)
  request.authorizations.begin(address, sourceOf(parameters.redirect_uri))
  return redirect(request, withReturn(page, address))
}
