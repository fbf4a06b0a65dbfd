import { type Static, t } from 'elysia'
import { LOCALES } from '../../kit/locale.ts'
import { described } from '../../kit/schema/described.ts'
import { MAIL_KINDS, MAIL_STATUSES } from '../../kit/schema/mails.ts'
import { page, pageQuery } from '../../kit/schema/page.ts'
import { email, integer, oneOf, strict, time, trimmed, uuid } from '../../kit/schema/schema.ts'
import { id } from './fields.ts'

export const mailsQuery = strict({
  ...pageQuery,
  user_id: t.Optional(described(uuid(), 'Only mails to this user')),
  kind: t.Optional(described(oneOf(...MAIL_KINDS), 'Only mails of this kind')),
  status: t.Optional(described(oneOf(...MAIL_STATUSES), 'Only mails with this status')),
})

export const mailParams = t.Object({
  mail_id: t.String({ description: 'The id of the mail', examples: ['0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e'] }),
})

export const mail = strict({
  id: id('The id of the mail'),
  kind: described(oneOf(...MAIL_KINDS), 'What the mail is for'),
  user_id: t.Nullable(t.String({ format: 'uuid' }), {
    description: 'The user whom the mail is for; null: not known yet, or a test',
  }),
  to: t.String({ description: 'The email, as it was typed', examples: ['ana@example.org'] }),
  status: described(
    oneOf(...MAIL_STATUSES),
    '`queued`: it waits, also for another attempt; `sent`: the mail server has it; `failed`: it was refused or given up',
  ),
  tries: described(integer(), 'How many attempts were made'),
  last_error: t.Nullable(t.String({ examples: ['mailbox_refused'] }), {
    description: 'Why the last attempt failed, as a code; null: it did not',
  }),
  created_at: described(time(), 'When the mail was requested'),
  sent_at: t.Nullable(time(), { description: 'When the mail server took it; null: it has not' }),
})
export const mailPage = page(mail)

export const testMailBody = strict({
  to: described(trimmed(email()), 'The email to send the test to'),
  kind: t.Optional(described(oneOf(...MAIL_KINDS), 'What mail to send; without it `notice`')),
  locale: t.Optional(described(oneOf(...LOCALES), 'In which language; without it `LOCALE`')),
})
export type TestMailBody = Static<typeof testMailBody>
