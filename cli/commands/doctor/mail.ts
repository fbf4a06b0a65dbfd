import { mailTroubles, waitingMails } from '../../../db/sqlite/inspect/index.ts'
import { count } from '../../terminal/terminal.ts'
import { toTheSecond } from '../../terminal/times.ts'
import { type Check, ok, warning } from './check.ts'
import { withDatabase } from './databases.ts'

const MAIL_LATE = 600_000

/** What auth calls it when the mail server fails every mail: what that means, and what changes it. */
export const TROUBLES: Readonly<Record<string, readonly [message: string, suggestion: string]>> = {
  not_a_mail_server: ['What answers at SMTP_URL is no mail server', 'SMTP_URL=smtp://host:587'],
  greeting_refused: ['The mail server turns this machine away', 'ch202 logs auth --level error'],
  hello_refused: ['The mail server does not take the name of this machine', 'SMTP_URL=…?name=this-host.example.org'],
  no_starttls: ['The mail server offers no encryption, which SMTP_URL requires', 'SMTP_URL=smtps://…'],
  tls_failed: [
    'No encrypted connection to the mail server: its certificate is not valid for it, or the port is another',
    'SMTP_URL=smtps://…',
  ],
  authentication_failed: [
    'The mail server refuses the user and password of SMTP_URL',
    'SMTP_URL=smtps://user:password@…',
  ],
  authentication_required: [
    'The mail server wants a login, or encryption, before it takes mails',
    'SMTP_URL=smtps://user:password@…',
  ],
  sender_refused: ['The mail server refuses the sender', 'MAIL_FROM=Example <no-reply@example.org>'],
  relay_denied: ['The mail server does not relay mails for this machine', 'SMTP_URL=smtps://user:password@…'],
  policy_refused: ['The mail server refuses mails of this machine', 'ch202 logs auth --level error'],
  message_refused: ['The mail server refused the last mail as a whole', 'ch202 logs auth --level error'],
}

export const mailWaiting: Check = {
  id: 'mail.waiting',
  looksAt: 'mails go out within ten minutes, and the mail server refuses none for what is set here or there',
  look: withDatabase('auth', (examined, { config, now }) => {
    const [trouble] = config?.smtpUrl === undefined ? [] : mailTroubles(examined, Object.keys(TROUBLES))
    const [message, suggestion] = TROUBLES[trouble?.reason ?? ''] ?? []
    if (trouble && message !== undefined && suggestion !== undefined) {
      const at = trouble.at === null ? '' : `, at ${toTheSecond(new Date(trouble.at).toISOString())}`
      return warning(`${message} (${trouble.reason}${at})`, suggestion)
    }
    const { reasons, waiting } = waitingMails(examined, now - MAIL_LATE)
    if (waiting === 0) return ok('No mail waits')
    const why = reasons.length === 0 ? '' : ` (${reasons.join(', ')})`
    return warning(
      `${count(waiting)} ${waiting === 1 ? 'mail has' : 'mails have'} not gone out for ten minutes${why}`,
      'ch202 logs auth --level error',
    )
  }),
}
