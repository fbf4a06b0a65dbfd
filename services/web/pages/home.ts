import type { Page } from '../page.ts'
import { redirect } from '../render.tsx'

/** The start page: the account, or the sign-in. */
export const homePage: Page = {
  path: '/',
  get: (request) => redirect(request, request.session ? '/account' : '/sign-in', 302),
}

/** Where password managers find the form to change a password (W3C, "A Well-Known URL for Changing Passwords"). */
export const changePasswordPage: Page = {
  path: '/.well-known/change-password',
  get: (request) => redirect(request, '/account/security', 302),
}
