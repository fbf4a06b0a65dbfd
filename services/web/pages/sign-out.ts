import { redirect } from '../components/render.tsx'
import type { BrowserRequest } from '../request/browser-request.ts'
import { withReturn } from '../request/return-to.ts'
import type { Page } from './page.ts'

/** `/sign-out`: ends the session. The sign-in that follows leads on to the address to return to, if there is one. */
export const signOutPage: Page = {
  path: '/sign-out',
  signedIn: 'cookie',
  async post(request) {
    await endSession(request)
    return redirect(request, withReturn('/sign-in?done=signed-out', request.returnTo.url))
  },
}

/** Ends the session. The browser loses it even if the API cannot be reached. */
export async function endSession(request: BrowserRequest): Promise<void> {
  const refresh_token = request.session?.refreshToken
  if (refresh_token !== undefined) await request.callAnonymously(({ auth }) => auth.logout.post({ refresh_token }))
  request.signOut()
}
