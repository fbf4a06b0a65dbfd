import { timestamp } from '../../kit/clock.ts'
import type { MailQueue } from '../mail/queue.ts'
import type { Letter } from '../mail/transport.ts'
import type { EmailChangedBody } from '../schemas/sync.ts'
import type { MailRequest } from '../store.ts'

/** Has the address that an account had until now told that it is another. It may come twice: one mail goes out. */
export async function noteEmailChange(mails: MailQueue, change: EmailChangedBody): Promise<void> {
  const { at, id, old_email, request_id } = change
  await mails.ask({
    id,
    kind: 'email_changed',
    email: old_email,
    requestedAt: Date.parse(at),
    ip: null,
    requestId: request_id,
  })
}

/** It does not say the new address: who reads the old mailbox need not be the user any more. */
export async function composeEmailChange({ email, requestedAt }: MailRequest): Promise<Letter> {
  return {
    to: email,
    subject: 'Your email address was changed',
    text: [
      'The email address of your account was changed, from this one to another,',
      `at ${timestamp(requestedAt).slice(0, 16).replace('T', ' ')} UTC.`,
      '',
      'If it was you, there is nothing to do. This address gets no more mail',
      'about the account.',
      '',
      'If it was not you, tell those who run the service at once: who has the',
      'account now can set a new password for it.',
      '',
    ].join('\n'),
  }
}
