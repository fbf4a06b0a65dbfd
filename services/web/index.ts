import { Elysia } from 'elysia'
import { requestLogger } from '../kit/http/request-log.ts'
import type { Log } from '../kit/log.ts'
import type { Metrics } from '../kit/process/metrics.ts'
import { answerPage } from './answer.tsx'
import { accountPage } from './pages/account.tsx'
import { appsPage } from './pages/apps.tsx'
import { authorizePage } from './pages/authorize.ts'
import { confirmEmailPage } from './pages/confirm-email.tsx'
import { consentPage } from './pages/consent.tsx'
import { invitePage } from './pages/console/invite.tsx'
import { userPage } from './pages/console/user.tsx'
import { usersPage } from './pages/console/users.tsx'
import { deletePage } from './pages/delete.tsx'
import { exportPage } from './pages/export.ts'
import { forgotPasswordPage } from './pages/forgot-password.tsx'
import { changePasswordPage, homePage } from './pages/home.ts'
import { invitationPage } from './pages/invitation.tsx'
import { logoutPage } from './pages/logout.tsx'
import { modulesPage } from './pages/modules.tsx'
import type { Page } from './pages/page.ts'
import { resetPasswordPage } from './pages/reset-password.tsx'
import { securityPage } from './pages/security.tsx'
import { sessionsPage } from './pages/sessions.tsx'
import { signInPage } from './pages/sign-in.tsx'
import { signInLinkPage } from './pages/sign-in-link.tsx'
import { signOutPage } from './pages/sign-out.ts'
import { signUpPage } from './pages/sign-up.tsx'
import { undoEmailPage } from './pages/undo-email.tsx'
import { verifyEmailPage } from './pages/verify-email.tsx'
import type { PagesContext } from './request/browser-request.ts'

/** Every page. */
export const PAGES: readonly Page[] = [
  homePage,
  signInPage,
  signInLinkPage,
  signUpPage,
  forgotPasswordPage,
  resetPasswordPage,
  verifyEmailPage,
  confirmEmailPage,
  undoEmailPage,
  invitationPage,
  signOutPage,
  authorizePage,
  consentPage,
  logoutPage,
  accountPage,
  securityPage,
  sessionsPage,
  modulesPage,
  appsPage,
  deletePage,
  exportPage,
  changePasswordPage,
  usersPage,
  invitePage,
  userPage,
]

/** The paths of the pages and of the files beside them; `*` stands for any part. */
export const PAGE_PATHS: readonly string[] = [...PAGES.map(({ path }) => path.replace(/:\w+/g, '*')), '/assets/*']

/** Builds the app of the pages: each page for every method, the files beside them, and a page for every other path. */
export function pagesApp(context: PagesContext, { log, metrics }: { log: Log; metrics: Metrics }) {
  const { clock } = context
  const logRequest = requestLogger({ clock, log, metrics })

  const answer = async (page: Page | undefined, received: Request): Promise<Response> => {
    const startedAt = clock.monotonic()
    const connection = app.server?.requestIP(received)?.address ?? null
    const address = context.clientAddress.of(connection, () => received.headers.get('x-forwarded-for'))
    const { requestId, response } = await answerPage(context, page, { received, address, log })
    const { method } = received
    logRequest({ requestId, startedAt, method, route: page?.path ?? '', status: response.status })
    return response
  }

  const app = new Elysia({ normalize: false, handler: { standardHostname: false } })
    // A page reads its form itself, after it has checked where the form comes from.
    .onParse(() => ({}))
    .onError(({ request }) => answer(undefined, request))
    .get('/assets/*', ({ request }) => {
      return context.assets.serve(new URL(request.url).pathname, request) ?? answer(undefined, request)
    })
  for (const page of PAGES) app.all(page.path, ({ request }) => answer(page, request))
  return app
}
