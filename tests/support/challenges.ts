import { eventually } from './eventually.ts'
import { as, call } from './http.ts'
import { mailsTo, readMail } from './mails.ts'
import type { System } from './system.ts'

type Here = Pick<System, 'dataDir' | 'url'>

/** The parts of a mail that its recipient uses. */
export interface Mailed {
  mail: string
  /** The token of the link. */
  token: string
  code: string
  /** The page that the link opens. */
  page: string
}

/**
 * Waits for the mail to an address after the first `before` ones, and reads its code and link.
 * @param linkPage counts only mails with a link to this page: after a registration another mail may come at any time
 */
export async function nextMail(system: Here, email: string, before = 0, linkPage?: string): Promise<Mailed> {
  const mail = readMail(await eventually(() => mailsTo(system, email, linkPage)[before]))
  const [, page = '', token = ''] = /https?:\/\/[^/\s]+\/([a-z-]+)\?token=([\w-]+)/.exec(mail) ?? []
  const [, code = ''] = /^\s*(\d{3} ?\d{3})\s*$/m.exec(mail.replaceAll('\r', '')) ?? []
  return { mail, token, code: code.replace(' ', ''), page }
}

/** A request that causes a mail, with the code and the link of that mail. */
export interface Challenged extends Mailed {
  challenge_id: string
}

/** The page that the link in the mail of a request opens, by the request. */
const PAGES: Record<string, string> = {
  'email-verification-request': 'verify-email',
  'email-code-request': 'sign-in-link',
  'email-change-request': 'confirm-email',
}

/**
 * Sends a request whose answer names a challenge, and waits for its mail.
 * @param linkPage the page that its link opens, as for `nextMail`
 * @throws Error if the answer names none
 */
export async function challenged(
  system: Here,
  email: string,
  send: () => ReturnType<typeof call>,
  linkPage?: string,
): Promise<Challenged> {
  const before = mailsTo(system, email, linkPage).length
  const { body, status, text } = await send()
  if (typeof body.challenge_id !== 'string') throw new Error(`No challenge: ${status} ${text}`)
  return { challenge_id: body.challenge_id, ...(await nextMail(system, email, before, linkPage)) }
}

/** Requests a mail by a path of auth, such as `email-code-request`. */
export const requested = (system: Here, path: string, body: Record<string, string>, headers = {}) =>
  challenged(
    system,
    body.new_email ?? body.email ?? '',
    () => call(system.url.auth, `POST /api/v1/auth/${path}`, { body, headers }),
    PAGES[path],
  )

const INVITATION = 'invitation'

/** Invites a user. @returns the token of the mail */
export async function invitation(system: Here, email: string, fields: Record<string, unknown> = {}): Promise<string> {
  const before = mailsTo(system, email, INVITATION).length
  const body = { email, ...fields }
  const answer = await call(system.url.auth, 'POST /api/v1/admin/invitations', { body, headers: as.operator })
  if (answer.status !== 201) throw new Error(`invite: ${answer.status} ${answer.text}`)
  return (await nextMail(system, email, before, INVITATION)).token
}
