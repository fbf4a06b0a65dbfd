import { timestamp } from '../../kit/clock.ts'
import type { MailQueue } from '../mail/queue.ts'
import type { Letter } from '../mail/transport.ts'
import type { EmailChangedBody } from '../schemas/sync.ts'
import type { MailRequest } from '../store/index.ts'

/** Queues a security notice to the previous address of a user. Idempotent by `id`. */
export async function noteEmailChange(mails: Pick<MailQueue, 'add'>, change: EmailChangedBody): Promise<void> {
  const { at, id, old_email, request_id } = change
  await mails.add({
    id,
    kind: 'email_changed',
    email: old_email,
    requestedAt: Date.parse(at),
    ip: null,
    requestId: request_id,
  })
}

/** Writes the notice, without the new address: the old mailbox may belong to someone else by now. */
export async function composeEmailChange({ email, requestedAt }: MailRequest): Promise<Letter> {
  return {
    to: email,
    subject: 'Your email address was changed',
    text: [
      'The email address of your account was changed from this address to',
      `another one at ${timestamp(requestedAt).slice(0, 16).replace('T', ' ')} UTC.`,
      '',
      'If you made this change, you can ignore this mail. This address will',
      'receive no further mail about the account.',
      '',
      'If you did not, contact support immediately: someone else can now',
      'reset your password.',
      '',
    ].join('\n'),
  }
}
