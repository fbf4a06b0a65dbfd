import type { Page } from './page.ts'
import { accountPage } from './pages/account.tsx'
import { appsPage } from './pages/apps.tsx'
import { confirmEmailPage } from './pages/confirm-email.tsx'
import { deletePage } from './pages/delete.tsx'
import { exportPage } from './pages/export.ts'
import { forgotPasswordPage } from './pages/forgot-password.tsx'
import { changePasswordPage, homePage } from './pages/home.ts'
import { invitationPage } from './pages/invitation.tsx'
import { modulesPage } from './pages/modules.tsx'
import { resetPasswordPage } from './pages/reset-password.tsx'
import { securityPage } from './pages/security.tsx'
import { sessionsPage } from './pages/sessions.tsx'
import { signInPage } from './pages/sign-in.tsx'
import { signInLinkPage } from './pages/sign-in-link.tsx'
import { signOutPage } from './pages/sign-out.ts'
import { signUpPage } from './pages/sign-up.tsx'
import { undoEmailPage } from './pages/undo-email.tsx'
import { verifyEmailPage } from './pages/verify-email.tsx'

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
  accountPage,
  securityPage,
  sessionsPage,
  modulesPage,
  appsPage,
  deletePage,
  exportPage,
  changePasswordPage,
]
