import { logIn, newEmail, type TestUser } from '../support/actors.ts'
import { challenged, invitation, type Mailed, nextMail, requested } from '../support/challenges.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { mailedToken } from '../support/mails.ts'
import { changeRows } from '../support/postgres/database-rows.ts'
import type { System } from '../support/system.ts'

/** The settings with which every operation that needs a mail can succeed. */
export const MAIL_SETTINGS = { EMAIL_LOGIN: 'on', DEVICE_TRUST: 'all' }

/** Values by their names in paths and bodies. */
interface MailedValues {
  mail_id?: string
  challenge_id?: string | undefined
  code?: string
  token?: string
}

/** Gets, for an operation that needs them, the code or the link of a mail to the owner, or the id of one that failed. */
export async function mailedValues(system: System, name: string, owner: TestUser): Promise<MailedValues> {
  const { email, id, tokens } = owner
  const values = ({ code, token }: Mailed, challenge_id: string | undefined) => ({ challenge_id, code, token })
  const change = (body: object) => call(system.url.users, `PATCH /api/v1/users/${id}`, { headers: as.operator, body })
  switch (name.replace('POST /api/v1/', '').replace('auth/', '')) {
    case 'admin/mails/{mail_id}/retry':
      return { mail_id: await failedMail(system, email) }
    case 'email-verification-confirm':
      return values(await nextMail(system, email, 0, 'verify-email'), owner.challenge_id)
    case 'email-code-login': {
      const mail = await requested(system, 'email-code-request', { email })
      return values(mail, mail.challenge_id)
    }
    case 'email-change-confirm': {
      const headers = as.bearer(tokens.access_token)
      const mail = await requested(system, 'email-change-request', { new_email: newEmail() }, headers)
      return values(mail, mail.challenge_id)
    }
    case 'email-change-undo': {
      await change({ email_verified: true })
      await change({ email: newEmail() })
      return { token: (await nextMail(system, email, 0, 'undo-email')).token }
    }
    case 'device-confirm': {
      // The mail of the registration comes first.
      await nextMail(system, email)
      await change({ email_verified: true })
      const mail = await challenged(system, email, () => logIn(system, email))
      return values(mail, mail.challenge_id)
    }
    case 'invitation-accept':
      return { token: await invitation(system, newEmail()) }
    case 'password-reset-confirm': {
      const auth = (request: string, options?: Parameters<typeof call>[2]) => call(system.url.auth, request, options)
      return { token: await mailedToken(auth, system, email) }
    }
  }
  return {}
}

/** Sends a test mail, and marks it as one that has failed. @returns its id */
async function failedMail(system: System, to: string): Promise<string> {
  const headers = as.operator
  const { body } = await call(system.url.auth, 'POST /api/v1/admin/mails/test', { headers, body: { to } })
  await eventually(async () => {
    const sent = await call(system.url.auth, 'GET /api/v1/admin/mails?status=sent&size=200', { headers })
    return sent.body.items.some(({ id }: { id: string }) => id === body.id)
  })
  await changeRows(system, 'auth', `UPDATE finished_mails SET status = 'failed' WHERE id = '${body.id}'`)
  return body.id
}
