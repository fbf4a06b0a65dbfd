import { redirect } from '../components/render.tsx'
import type { Page } from './page.ts'

/** `/sign-out`: ends the session. The browser loses it even if the API cannot be reached. */
export const signOutPage: Page = {
  path: '/sign-out',
  signedIn: 'cookie',
  async post(request) {
    const refresh_token = request.session?.refreshToken
    if (refresh_token !== undefined) await request.callAnonymously(({ auth }) => auth.logout.post({ refresh_token }))
    request.signOut()
    return redirect(request, '/sign-in?done=signed-out')
  },
}
