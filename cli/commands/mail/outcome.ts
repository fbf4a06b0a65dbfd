import type { MailKind, MailStatus } from '../../../services/kit/schema/mails.ts'
import { EXIT, Failure } from '../../exit.ts'
import type { Tool } from '../../tool/command.ts'
import { pages } from '../../tool/lists.ts'
import { mailFailure } from './problems.ts'

/** Milliseconds between two looks, and after which an email counts as slow. */
const POLL = 200
const PATIENCE = 30_000

export interface Mail {
  id: string
  kind: MailKind
  to: string
  status: MailStatus
  tries: number
  last_error: string | null
  created_at: string
  sent_at: string | null
}

/**
 * Waits until an email was sent.
 * @throws Failure if it was not: with the reason and what to do, also when auth will try again
 */
export async function sentMail(tool: Tool, queued: Mail): Promise<Mail> {
  for (const since = performance.now(); performance.now() - since < PATIENCE; await Bun.sleep(POLL)) {
    const mail = await findMail(tool, queued)
    // Auth removes an email that nobody should get: its user is gone or disabled, or a later one took its place.
    if (!mail)
      throw new Failure(EXIT.failed, `Nothing was sent to ${queued.to}: the email is no longer useful`, {
        code: 'not_useful',
        suggestion: 'ch202 mail list',
      })
    if (mail.status === 'sent') return mail
    if (mail.status === 'failed') throw mailFailure(mail, true)
    if (mail.tries > 0 && mail.last_error !== null && mail.tries !== queued.tries) throw mailFailure(mail, false)
  }
  throw new Failure(EXIT.tryAgain, `The email to ${queued.to} still waits: the mail server is slow`, {
    code: 'timeout',
    suggestion: 'ch202 mail list --status queued',
    retryable: true,
  })
}

/** Finds an email in the list, which has the newest first. */
async function findMail(tool: Tool, { created_at, id, kind }: Mail): Promise<Mail | undefined> {
  const api = await tool.api()
  const list = pages((page) => api.auth((auth) => auth.admin.mails.get({ query: { kind, ...page } })))
  for await (const { items } of list) {
    const mails = items as unknown as Mail[]
    const mail = mails.find((one) => one.id === id)
    if (mail || (mails.at(-1)?.created_at ?? '') < created_at) return mail
  }
  return undefined
}
