import type { Caller } from '../../kit/caller.ts'
import { timestamp } from '../../kit/clock.ts'
import { Problem } from '../../kit/problem.ts'
import { type PageQuery, pageAnswer, pageRequest } from '../../kit/schema/page.ts'
import { type AuthorityContext, requireAuthority } from '../assurance/authority.ts'
import { type AuditRecordContext, auditEvent } from '../audit/record.ts'
import type { TestMailBody } from '../schemas/mails.ts'
import type {
  AuditStore,
  ListedMail,
  MailFilter,
  MailKind,
  MailListStore,
  MailRow,
  MailStatus,
} from '../store/index.ts'
import { hasChallenge } from './challenge-kinds.ts'
import type { MailQueue } from './queue.ts'

export interface MailsContext extends AuditRecordContext {
  store: AuditStore & MailListStore
  mails: Pick<MailQueue, 'add' | 'wake'>
}

interface MailsQuery extends PageQuery {
  user_id?: string
  kind?: MailKind
  status?: MailStatus
}

/** Lists mails that wait, were sent or have failed, newest first. @throws Problem as `requireAuthority` */
export async function listMails(
  { store }: Pick<MailsContext, 'store'> & AuthorityContext,
  query: MailsQuery,
  caller: Caller,
) {
  const { kind, status, user_id } = query
  await requireAuthority({ store }, user_id?.toLowerCase() ?? null, caller)
  const list = JSON.stringify(['mails', user_id, kind, status])
  const request = pageRequest(query, list)
  const filter: MailFilter = {
    ...(user_id === undefined ? {} : { userId: user_id.toLowerCase() }),
    ...(kind === undefined ? {} : { kind }),
    ...(status === undefined ? {} : { status }),
  }
  return pageAnswer(await store.listMails(filter, request), request, list, mailRead)
}

/**
 * Makes a mail that waits due at once, and queues one that failed again, with the same link and Message-ID.
 * @throws Problem `not_found`, also for a mail that was sent; `invalid_challenge` when the link of a failed mail was used or
 * has expired: a new one must be requested
 */
export async function retryMail(context: MailsContext, id: string, caller: Caller) {
  const { clock, mails, store } = context
  const mail = await mailOf(context, id)
  const event = auditEvent(context, caller, 'mail.retried', mail.userId, { mail_id: mail.id, kind: mail.kind })
  const result = await store.retryMail(mail.id, hasChallenge(mail), clock.now(), event)
  if (result === 'sent') throw new Problem('not_found', { message: 'The mail was sent already' })
  if (result === 'void') {
    const message = 'The link of the mail was used or has expired: a new one must be requested'
    throw new Problem('invalid_challenge', { message })
  }
  if (result === 'unknown') throw new Problem('not_found')
  mails.wake()
  return mailRead(await mailOf(context, id))
}

/** Queues a mail with sample values. Its link and code work nowhere. */
export async function sendTestMail(
  context: MailsContext,
  { kind = 'notice', locale, to }: TestMailBody,
  caller: Caller,
) {
  const { clock, mails, random, store } = context
  const id = random.id()
  await mails.add({
    id,
    kind,
    email: to,
    userId: null,
    locale: locale ?? null,
    data: { isTest: true },
    requestedAt: clock.now(),
    ip: caller.ip,
    requestId: caller.requestId,
  })
  await store.addAuditEvent(auditEvent(context, caller, 'mail.test_sent', null, { mail_id: id, kind }))
  return mailRead(await mailOf(context, id))
}

async function mailOf({ store }: Pick<MailsContext, 'store'>, id: string): Promise<ListedMail> {
  const mail = await store.mailById(id.toLowerCase())
  if (!mail) throw new Problem('not_found')
  return mail
}

/** The reason of a failure is a code: the text of a mail server may name others. */
function mailRead({ email, finishedAt, id, kind, lastError, requestedAt, status, tries, userId }: MailRow) {
  return {
    id,
    kind,
    user_id: userId,
    to: email,
    status,
    tries,
    last_error: lastError,
    created_at: timestamp(requestedAt),
    sent_at: status === 'sent' && finishedAt !== null ? timestamp(finishedAt) : null,
  }
}
