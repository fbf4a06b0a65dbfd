import { createHash } from 'node:crypto'
import type { Caller } from '../../kit/caller.ts'
import type { Locale } from '../../kit/locale.ts'
import { Problem } from '../../kit/problem.ts'
import type { Config } from '../../kit/process/config.ts'
import type { MailQueue } from '../mail/queue.ts'
import type { MailKind, NoticeCause } from '../store/index.ts'
import { type ChallengeRequestContext, requestChallenge, undoChallenge } from './request.ts'

// The mails that changes of users cause. Users repeats a notice until it is acknowledged: each has an id of its own.

export type AccountMailsContext = ChallengeRequestContext & {
  mails: Pick<MailQueue, 'add' | 'addWithChallenge'>
  config: Pick<Config, 'emailVerification'>
}

/** A change of an email. Times are milliseconds since the epoch. Users of the version before send only the first fields. */
export interface EmailChange {
  id: string
  userId: string
  oldEmail: string
  at: number
  requestId: string | null
  newEmail?: string
  /** Whether the earlier address was verified: then its owner can undo the change. */
  wasVerified?: boolean
  /** Whether the new address was proved before the change. */
  isProved?: boolean
  ip?: string | null
  locale?: Locale | null
}

/** Tells the earlier address, and asks the new one for a proof. Idempotent by `id`. @throws Problem `rate_limited` never */
export async function noteEmailChange(context: AccountMailsContext, change: EmailChange): Promise<void> {
  const { at, id, ip = null, locale = null, newEmail, oldEmail, requestId, userId, wasVerified = false } = change
  const mail = {
    id,
    kind: 'email_changed',
    email: oldEmail,
    userId,
    locale,
    data: { isUndoable: wasVerified },
    requestedAt: at,
    ip,
    requestId,
  } as const
  if (wasVerified) await context.mails.addWithChallenge(mail, undoChallenge(context, mail))
  else await context.mails.add(mail)
  if (newEmail === undefined || change.isProved === true) return
  await askForProof(context, { ...change, id: derivedId(id), email: newEmail, ip, locale })
}

/** A mail that users asks for. */
export interface AccountMail {
  id: string
  kind: Extract<MailKind, 'notice' | 'email_verification'>
  cause?: NoticeCause
  userId: string
  email: string
  at: number
  ip: string | null
  userAgent: string | null
  locale: Locale | null
  requestId: string | null
}

/** Queues a mail about something that users did. Idempotent by `id`. */
export async function queueAccountMail(context: AccountMailsContext, mail: AccountMail): Promise<void> {
  if (mail.kind === 'email_verification') return askForProof(context, mail)
  const { at, cause, email, id, ip, locale, requestId, userAgent, userId } = mail
  const data = { ...(cause && { cause }), userAgent }
  await context.mails.add({ id, kind: 'notice', email, userId, locale, data, requestedAt: at, ip, requestId })
}

/**
 * Queues a mail to verify an address. Beyond the limits of the address none is sent: the change has happened, and someone
 * who changes an address again and again must not flood others with mails.
 */
async function askForProof(
  context: AccountMailsContext,
  {
    email,
    id,
    ip,
    locale,
    requestId,
    userId,
  }: Pick<AccountMail, 'id' | 'userId' | 'email' | 'ip' | 'locale' | 'requestId'>,
): Promise<void> {
  if (context.config.emailVerification === 'off') return
  const request = { purpose: 'email_verification', address: email, userId, mailId: id } as const
  const requester = { ip, locale, requestId: requestId ?? '' } satisfies Pick<Caller, 'ip' | 'locale' | 'requestId'>
  try {
    await requestChallenge(context, { ...request, limited: 'by address' }, requester)
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'rate_limited') throw error
  }
}

/** Derives the id of a second mail from that of a notice, the same whenever the notice is repeated. */
function derivedId(id: string): string {
  const hex = createHash('sha256').update(`verification ${id}`).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
