import { Elysia, t } from 'elysia'
import type { guard } from '../kit/guard.ts'
import { invalid } from '../kit/problem.ts'
import type { AuthContext } from './context.ts'
import { login, register } from './login.ts'
import {
  loginBody,
  logoutBody,
  message,
  optionalTokenBody,
  refreshBody,
  registered,
  resetRequestBody,
  token,
  userCreate,
  userRead,
  validity,
} from './model.ts'
import { type ResetMails, requestReset } from './password-reset.ts'
import { logout, refreshSession } from './sessions.ts'
import { me, validateToken } from './tokens.ts'

export const placeholder = {
  Elysia,
  t,
  invalid,
  login,
  register,
  loginBody,
  logoutBody,
  message,
  optionalTokenBody,
  refreshBody,
  registered,
  resetRequestBody,
  token,
  userCreate,
  userRead,
  validity,
  requestReset,
  logout,
  refreshSession,
  me,
  validateToken,
}
export function bareRoutes(_context: AuthContext, _mails: ResetMails, _guarded: ReturnType<typeof guard>) {
  return new Elysia()
}
