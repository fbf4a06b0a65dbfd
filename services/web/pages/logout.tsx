/** @jsxRuntime automatic @jsxImportSource preact */

import type { LogoutRequestAnswer } from '../../auth/schemas/logout-requests.ts'
import { CardPage } from '../components/document.tsx'
import { Form } from '../components/form.tsx'
import { redirect, renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import { addressWith, type LogoutParameters, logoutParameters, sourceOf } from '../request/authorization.ts'
import type { BrowserRequest } from '../request/browser-request.ts'
import { asLink, asPerson, badRequestOfApp, refuseApp } from './oauth-request.ts'
import type { Page } from './page.ts'
import { endSession } from './sign-out.ts'

const PATH = '/oauth/logout'

/**
 * `/oauth/logout`: where an app sends a person to sign out (OpenID Connect RP-Initiated Logout 1.0). Without an ID token of
 * this very session anyone could have made the link, so the person is asked.
 */
export const logoutPage: Page = {
  path: PATH,
  get: (request) => signOut(request, false),
  post: (request) => signOut(request, true),
  foreignForm: asLink,
}

/** @param isAnswered whether the person has pressed the button of the page */
async function signOut(request: BrowserRequest, isAnswered: boolean): Promise<Response> {
  const parameters = logoutParameters(request.url.searchParams)
  if (!parameters) return badRequestOfApp(request)
  const answer = await asPerson(request, async () => {
    const outcome = await request.call(({ auth }) => auth['logout-requests'].post(parameters))
    if (!outcome.ok) return refuseApp(request, outcome.problem)
    const isConfirmed = outcome.data.confirmed && request.request.method === 'GET'
    if (!isAnswered && !isConfirmed) return ask(request, parameters, outcome.data)
    await endSession(request)
    return signedOut(request, outcome.data)
  })
  if (answer) return answer
  const outcome = await request.callAnonymously(({ auth }) => auth['logout-requests'].post(parameters))
  return outcome.ok ? signedOut(request, outcome.data) : refuseApp(request, outcome.problem)
}

/** Sends the browser to the address that the app has registered, or else to the sign-in, which says what happened. */
function signedOut(request: BrowserRequest, { redirect_to }: LogoutRequestAnswer): Response {
  return redirect(request, redirect_to ?? '/sign-in?done=signed-out')
}

function ask(
  request: BrowserRequest,
  parameters: LogoutParameters,
  { client, redirect_to }: LogoutRequestAnswer,
): Response {
  const content = <Logout action={addressWith(PATH, parameters)} client={client?.name} />
  const { title } = request.texts.logout
  return renderPage(request, content, { title, returnOrigin: sourceOf(redirect_to ?? undefined) })
}

function Logout({ action, client }: { action: string; client: string | undefined }) {
  const { texts } = useRequest()
  return (
    <CardPage title={texts.logout.title} after={<a href="/account">{texts.logout.stay}</a>}>
      <p>{client === undefined ? texts.logout.lead : texts.logout.leadNamed(client)}</p>
      <Form action={action}>
        <button type="submit" class="full">
          {texts.nav.signOut}
        </button>
      </Form>
    </CardPage>
  )
}
