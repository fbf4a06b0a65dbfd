import { mailTroubles, waitingMails } from '../../../db/sqlite/inspect/index.ts'
import { counted } from '../../terminal/terminal.ts'
import { toTheSecond } from '../../terminal/times.ts'
import { type Check, ok, warning } from './check.ts'
import { withDatabase } from './databases.ts'

const LATE_AFTER = 600_000

/** Explanations and fixes for the reasons that auth records when the mail server refuses every email. */
export const MAIL_PROBLEMS: Readonly<Record<string, readonly [message: string, suggestion: string]>> = {
  not_a_mail_server: ['The server at SMTP_URL is not a mail server', 'SMTP_URL=smtp://host:587'],
  greeting_refused: ['The mail server refuses connections from this machine', 'ch202 logs auth --level error'],
  hello_refused: ['The mail server refuses the name of this machine', 'SMTP_URL=…?name=this-host.example.org'],
  no_starttls: ['The mail server offers no encryption, which SMTP_URL requires', 'SMTP_URL=smtps://…'],
  tls_failed: [
    'No encrypted connection to the mail server: its certificate is not valid, or the port is wrong',
    'SMTP_URL=smtps://…',
  ],
  authentication_failed: [
    'The mail server refuses the user and password in SMTP_URL',
    'SMTP_URL=smtps://user:password@…',
  ],
  authentication_required: ['The mail server requires a login or encryption', 'SMTP_URL=smtps://user:password@…'],
  sender_refused: ['The mail server refuses the sender', 'MAIL_FROM=Example <no-reply@example.org>'],
  relay_denied: ['The mail server does not relay emails for this machine', 'SMTP_URL=smtps://user:password@…'],
  policy_refused: ['The mail server refuses emails from this machine by its policy', 'ch202 logs auth --level error'],
  message_refused: ['The mail server refused the content of the last email', 'ch202 logs auth --level error'],
}

export const mailWaiting: Check = {
  id: 'mail.waiting',
  describes: 'emails are sent within ten minutes, and the mail server does not refuse them because of a setting',
  run: withDatabase('auth', (database, { config, now }) => {
    const [trouble] = config?.smtpUrl === undefined ? [] : mailTroubles(database, Object.keys(MAIL_PROBLEMS))
    const [message, suggestion] = MAIL_PROBLEMS[trouble?.reason ?? ''] ?? []
    if (trouble && message !== undefined && suggestion !== undefined) {
      const at = trouble.at === null ? '' : `, at ${toTheSecond(new Date(trouble.at).toISOString())}`
      return warning(`${message} (${trouble.reason}${at})`, suggestion)
    }
    const { reasons, waiting } = waitingMails(database, now - LATE_AFTER)
    if (waiting === 0) return ok('No email is waiting')
    const why = reasons.length === 0 ? '' : ` (${reasons.join(', ')})`
    return warning(
      `${counted(waiting, 'email has', 'emails have')} been waiting for over ten minutes${why}`,
      'ch202 logs auth --level error',
    )
  }),
}
