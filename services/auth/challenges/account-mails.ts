import { createHash } from 'node:crypto'
import { Problem } from '../../kit/problem.ts'
import type { Config } from '../../kit/process/config.ts'
import type { MailQueue } from '../mail/queue.ts'
import type { AccountMailBody, EmailChangedBody } from '../schemas/sync.ts'
import { type ChallengeRequestContext, requestChallenge, undoChallenge } from './request.ts'

// The mails that changes of users cause. Users repeats a notice until it is acknowledged: each has an id of its own.

export type AccountMailsContext = ChallengeRequestContext & {
  mails: Pick<MailQueue, 'add' | 'addWithChallenge'>
  config: Pick<Config, 'emailVerification'>
}

/** Tells the earlier address of a user, and asks for a proof of the new one. Idempotent by `id`. */
export async function noteEmailChange(context: AccountMailsContext, change: EmailChangedBody): Promise<void> {
  const { by_proof = false, id, ip = null, locale = null, new_email, old_email, request_id, verified = false } = change
  const mail = {
    id,
    kind: 'email_changed',
    email: old_email,
    userId: change.user_id.toLowerCase(),
    locale,
    data: { isUndoable: verified },
    requestedAt: Date.parse(change.at),
    ip,
    requestId: request_id,
  } as const
  if (verified) await context.mails.addWithChallenge(mail, undoChallenge(context, mail))
  else await context.mails.add(mail)
  if (new_email !== undefined && !by_proof)
    await askForProof(context, { ...change, id: derivedId(id), email: new_email, ip, locale })
}

/** Queues a mail about something that users did. Idempotent by `id`. */
export async function queueAccountMail(context: AccountMailsContext, mail: AccountMailBody): Promise<void> {
  if (mail.kind === 'email_verification') return askForProof(context, mail)
  const { at, cause, email, id, ip, locale, request_id, user_agent, user_id } = mail
  await context.mails.add({
    id,
    kind: 'notice',
    email,
    userId: user_id.toLowerCase(),
    locale,
    data: { ...(cause && { cause }), userAgent: user_agent },
    requestedAt: Date.parse(at),
    ip,
    requestId: request_id,
  })
}

type ProofRequest = Pick<AccountMailBody, 'email' | 'id' | 'ip' | 'locale' | 'request_id' | 'user_id'>

/**
 * Queues a mail to verify an address. Beyond the limits of the address none is sent: the change has happened, and someone
 * who changes an address again and again must not flood others with mails.
 */
async function askForProof(
  context: AccountMailsContext,
  { email, id, ip, locale, request_id, user_id }: ProofRequest,
): Promise<void> {
  if (context.config.emailVerification === 'off') return
  const request = { purpose: 'email_verification', address: email, userId: user_id.toLowerCase(), mailId: id } as const
  try {
    const requester = { ip, locale, requestId: request_id ?? '' }
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
