import { redirect } from '../components/render.tsx'
import type { Page } from './page.ts'

/** The start page: the account, or the sign-in. */
export const homePage: Page = {
  path: '/',
  get: (request) => redirect(request, request.session ? '/account' : '/sign-in', 302),
}

/** The address at which password managers look for the form to change a password (W3C, "A Well-Known URL for Changing Passwords"). */
export const changePasswordPage: Page = {
  path: '/.well-known/change-password',
  get: (request) => redirect(request, '/account/security', 302),
}
