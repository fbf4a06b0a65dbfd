import { Elysia } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { type UserRead, userRead } from '../../kit/schema/user.ts'
import type { InputRule } from '../../kit/schema/validation.ts'
import { confirmEmailChange, requestEmailChange, undoEmailChange } from '../challenges/email-change.ts'
import { confirmVerification, requestVerification, verificationErrors } from '../challenges/email-verification.ts'
import { invitationErrors, invite } from '../challenges/invitations.ts'
import { resetErrors } from '../challenges/password-reset.ts'
import { mailProofErrors } from '../challenges/use.ts'
import { acceptInvitation } from '../login/accept-invitation.ts'
import { ofUser } from '../login/caller.ts'
import { loginByEmailCode, requestEmailCode } from '../login/email-code.ts'
import { counted } from '../login/outcome.ts'
import {
  acceptanceBody,
  emailChangeRequestBody,
  emailCodeRequestBody,
  invitationBody,
  invited,
  linkBody,
  MAIL_ANSWER,
  mailed,
  mailProofBody,
  verificationRequestBody,
  verified,
} from '../schemas/challenges.ts'
import { noContent } from '../schemas/fields.ts'
import { token } from '../schemas/tokens.ts'
import type { AuthServices } from './auth-services.ts'

/** Codes and links by mail: verification, login, change of the email, invitations. */
export function challengeRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
  const acceptanceRule: InputRule = (sent) => resetErrors(context, sent)
  const answer = (challenge_id: string) => ({ message: MAIL_ANSWER, challenge_id })
  return new Elysia({ normalize: false })
    .use(guarded)
    .post(
      '/auth/email-verification-request',
      async ({ body, caller, set }) => {
        set.status = 202
        return answer(await requestVerification(context, body?.email, caller))
      },
      {
        auth: ['anyone', 'user'],
        body: verificationRequestBody,
        rules: verificationErrors,
        response: { 202: mailed },
        detail: operation(
          'auth',
          {
            summary: 'Request a mail to verify an email',
            description: 'The mail has a code and a link. The answer is the same for an address without an account.',
          },
          'already_verified',
          'rate_limited',
        ),
      },
    )
    .post(
      '/auth/email-verification-confirm',
      async ({ body, caller }) => ({
        email: await confirmVerification(context, body, caller),
        email_verified: true as const,
      }),
      {
        auth: ['anyone'],
        body: mailProofBody,
        rules: mailProofErrors,
        response: verified,
        detail: operation(
          'auth',
          { summary: 'Verify an email', description: 'By the code or by the token of the link.' },
          'invalid_challenge',
          'invalid_code',
          'users_unavailable',
        ),
      },
    )
    .post(
      '/auth/email-code-request',
      async ({ body, caller, set }) => {
        set.status = 202
        return answer(await requestEmailCode(context, body.email, caller))
      },
      {
        auth: ['anyone'],
        body: emailCodeRequestBody,
        response: { 202: mailed },
        detail: operation(
          'auth',
          {
            summary: 'Request a code to log in',
            description: 'The answer is the same for an address without an account. Needs `EMAIL_LOGIN=on`.',
          },
          'email_login_disabled',
          'rate_limited',
        ),
      },
    )
    .post(
      '/auth/email-code-login',
      async ({ body, caller }) => (await counted(context, () => loginByEmailCode(context, body, caller))).tokens,
      {
        auth: ['anyone'],
        body: mailProofBody,
        rules: mailProofErrors,
        response: token,
        detail: operation(
          'auth',
          { summary: 'Log in by a code', description: 'Also verifies the email. Needs `EMAIL_LOGIN=on`.' },
          'email_login_disabled',
          'invalid_challenge',
          'invalid_code',
          'account_disabled',
          'second_factor_required',
          'second_factor_enrolment_required',
          'users_unavailable',
        ),
      },
    )
    .post(
      '/auth/email-change-request',
      async ({ body, caller, set }) => {
        set.status = 202
        return answer(await requestEmailChange(context, body.new_email, ofUser(caller)))
      },
      {
        auth: ['user'],
        body: emailChangeRequestBody,
        response: { 202: mailed },
        detail: operation(
          'auth',
          {
            summary: 'Request a change of the email',
            description: 'Sends a mail to the new address. Nothing changes before the address is proved.',
          },
          'reauthentication_required',
          'rate_limited',
        ),
      },
    )
    .post(
      '/auth/email-change-confirm',
      ({ body, caller }): Promise<UserRead> => confirmEmailChange(context, body, ofUser(caller)),
      {
        auth: ['user'],
        body: mailProofBody,
        rules: mailProofErrors,
        response: userRead,
        detail: operation(
          'auth',
          { summary: 'Change the email', description: 'By the code or the token that the new address received.' },
          'invalid_challenge',
          'invalid_code',
          'email_taken',
          'users_unavailable',
        ),
      },
    )
    .post(
      '/auth/email-change-undo',
      async ({ body, caller, set }) => {
        await undoEmailChange(context, body.token, caller)
        set.status = 204
      },
      {
        auth: ['anyone'],
        body: linkBody,
        response: noContent,
        detail: operation(
          'auth',
          {
            summary: 'Undo a change of the email',
            description:
              'By the token that the earlier address received. All sessions end, and a mail to set a new password follows.',
          },
          'invalid_challenge',
          'email_taken',
          'users_unavailable',
        ),
      },
    )
    .post(
      '/admin/invitations',
      async ({ body, caller, set }) => {
        set.status = 201
        return invite(context, body, caller)
      },
      {
        auth: ['operator', 'support', 'scope:users:write'],
        body: invitationBody,
        rules: invitationErrors,
        response: { 201: invited },
        detail: operation(
          'admin',
          {
            summary: 'Invite a user',
            description:
              'Creates the user unless they exist, and mails a link by which they set their password. A support person gives no `roles` and no `app_metadata`.',
          },
          'forbidden_field',
          'reauthentication_required',
          'email_taken',
          'account_disabled',
          'username_taken',
          'user_not_found',
          'users_unavailable',
        ),
      },
    )
    .post(
      '/auth/invitation-accept',
      async ({ body, caller }) => (await counted(context, () => acceptInvitation(context, body, caller))).tokens,
      {
        auth: ['anyone'],
        body: acceptanceBody,
        rules: acceptanceRule,
        response: token,
        detail: operation(
          'auth',
          { summary: 'Accept an invitation', description: 'Sets the password, verifies the email and logs in.' },
          'invalid_challenge',
          'weak_password',
          'username_taken',
          'account_disabled',
          'second_factor_required',
          'second_factor_enrolment_required',
          'users_unavailable',
          'overloaded',
        ),
      },
    )
}
