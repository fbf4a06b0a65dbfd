import { Elysia } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { lacksSecondFactor } from '../assurance/recent.ts'
import { factorsOfUser, importTotp, resetFactors } from '../factors/admin.ts'
import { listFactors, removeFactor, renameFactor, replaceRecoveryCodes } from '../factors/factors.ts'
import { ofUser } from '../login/caller.ts'
import type { Enrolled } from '../login/enrolment.ts'
import { counted } from '../login/outcome.ts'
import { completeLogin, secondFactorErrors } from '../login/second-factor.ts'
import { confirmTotp, startTotp } from '../login/totp-enrolment.ts'
import {
  confirmBody,
  type EnrolledAnswer,
  enrolled,
  enrolmentBody,
  factor,
  factorImport,
  factorList,
  factorParams,
  missing,
  newTotp,
  openedTokens,
  recoveryCodes,
  renameBody,
  secondFactorBody,
  userParams,
} from '../schemas/factors.ts'
import { emptyBody, noContent } from '../schemas/fields.ts'
import { sessionParams } from '../schemas/sessions.ts'
import { tokensOfLogin } from '../sessions/answer.ts'
import type { AuthServices } from './auth-services.ts'

/** The problems of whoever adds a factor. */
export const ENROLMENT_PROBLEMS = [
  'invalid_challenge',
  'missing_token',
  'reauthentication_required',
  'email_not_verified',
] as const

/** The answer to a new factor. */
export function enrolledAnswer({ factor: added, opened, recoveryCodes: codes }: Enrolled): EnrolledAnswer {
  return {
    factor: added,
    ...(codes && { recovery_codes: codes }),
    ...(opened && { tokens: tokensOfLogin(opened) }),
  }
}

/** Second factors: the step of a login, those of the caller, and those of a user for operators. */
export function factorRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
  return new Elysia({ normalize: false })
    .use(guarded)
    .post(
      '/auth/second-factor',
      async ({ body, caller }) => tokensOfLogin(await counted(context, () => completeLogin(context, body, caller))),
      {
        auth: ['anyone'],
        body: secondFactorBody,
        rules: secondFactorErrors,
        response: openedTokens,
        detail: operation(
          'auth',
          {
            summary: 'Complete a login by a second factor',
            description:
              'Answers as the login would have that answered `second_factor_required`. A wrong code and an unknown or expired `challenge_id` get the same answer; after five tries log in again.',
          },
          'invalid_code',
          'invalid_credentials',
          'account_disabled',
          'email_not_verified',
          'rate_limited',
        ),
      },
    )
    .get('/auth/factors', ({ caller }) => listFactors(context, ofUser(caller).userId), {
      auth: ['user'],
      response: factorList,
      detail: operation('factors', {
        summary: 'List your second factors',
        description: 'With the number of recovery codes that are left.',
      }),
    })
    .post(
      '/auth/factors/totp',
      async ({ body, caller, set }) => {
        set.status = 201
        return startTotp(context, body ?? {}, caller)
      },
      {
        auth: ['anyone', 'user'],
        body: enrolmentBody,
        response: { 201: newTotp },
        detail: operation(
          'factors',
          {
            summary: 'Create a secret for an app that shows codes',
            description:
              'It becomes a factor by its first code, within 10 minutes. With the `challenge_id` of `second_factor_enrolment_required` it needs no session.',
          },
          ...ENROLMENT_PROBLEMS,
        ),
      },
    )
    .post(
      '/auth/factors/totp/confirm',
      async ({ body, caller }) => {
        const isLogin = body.challenge_id !== undefined
        return enrolledAnswer(await counted(context, () => confirmTotp(context, body, caller), isLogin))
      },
      {
        auth: ['anyone', 'user'],
        body: confirmBody,
        response: enrolled,
        detail: operation(
          'factors',
          {
            summary: 'Confirm an app by its first code',
            description: 'The first factor of a user brings ten recovery codes, which are shown once.',
          },
          ...ENROLMENT_PROBLEMS,
          'factor_not_found',
          'invalid_code',
          'account_disabled',
        ),
      },
    )
    .post(
      '/auth/recovery-codes',
      async ({ caller }) => ({ recovery_codes: await replaceRecoveryCodes(context, ofUser(caller)) }),
      {
        auth: ['user'],
        body: emptyBody,
        response: recoveryCodes,
        detail: operation(
          'factors',
          { summary: 'Replace your recovery codes', description: 'The old ones are void.' },
          'factor_not_found',
          'reauthentication_required',
        ),
      },
    )
    .patch(
      '/auth/factors/:id',
      ({ body, caller, params }) => renameFactor(context, params.id, body.name, ofUser(caller)),
      {
        auth: ['user'],
        params: factorParams,
        body: renameBody,
        response: factor,
        detail: operation(
          'factors',
          { summary: 'Change the name of a second factor', description: 'The name is for its user alone.' },
          'factor_not_found',
          'reauthentication_required',
        ),
      },
    )
    .delete(
      '/auth/factors/:id',
      async ({ caller, params, set }) => {
        await removeFactor(context, params.id, ofUser(caller))
        set.status = 204
      },
      {
        auth: ['user'],
        params: factorParams,
        response: noContent,
        detail: operation(
          'factors',
          { summary: 'Remove a second factor', description: 'With the last one the recovery codes end too.' },
          'factor_not_found',
          'last_way_in',
          'reauthentication_required',
          'users_unavailable',
        ),
      },
    )
    .get('/admin/users/:user_id/factors', ({ caller, params }) => factorsOfUser(context, params.user_id, caller), {
      auth: ['operator'],
      params: userParams,
      response: factorList,
      detail: operation(
        'admin',
        { summary: 'List the second factors of a user', description: 'Without their secrets.' },
        'user_not_found',
        'users_unavailable',
      ),
    })
    .post(
      '/admin/users/:user_id/factors',
      async ({ body, caller, params, set }) => {
        set.status = 201
        return importTotp(context, params.user_id, body, caller)
      },
      {
        auth: ['operator'],
        params: userParams,
        body: factorImport,
        response: { 201: factor },
        detail: operation(
          'admin',
          {
            summary: 'Import an app that shows codes',
            description: 'With the secret that another product gave it: the user goes on with their app.',
          },
          'user_not_found',
          'email_not_verified',
          'reauthentication_required',
          'users_unavailable',
        ),
      },
    )
    .delete(
      '/admin/users/:user_id/factors',
      async ({ caller, params, set }) => {
        await resetFactors(context, params.user_id, caller)
        set.status = 204
      },
      {
        auth: ['operator'],
        params: userParams,
        response: noContent,
        detail: operation(
          'admin',
          {
            summary: 'Remove the second factors of a user',
            description: 'For a user who has lost them. Their sessions end, and a mail tells them.',
          },
          'user_not_found',
          'reauthentication_required',
          'users_unavailable',
        ),
      },
    )
    .get(
      '/auth/sessions/:session_id/second-factor',
      async ({ caller, params }) => ({
        missing: await lacksSecondFactor(context)({ sessionId: params.session_id, requestId: caller.requestId }),
      }),
      {
        auth: ['internal'],
        params: sessionParams,
        response: missing,
        detail: operation('internal', {
          summary: 'Check whether a session lacks a second factor',
          description: 'That of its user: for calls of other services that need one.',
        }),
      },
    )
}
