import { EXIT, Failure } from '../../exit.ts'

export type Problem = readonly [message: string, suggestion: string]

/** Explanations and fixes for the reasons that auth records when the mail server refuses every email. */
export const MAIL_PROBLEMS: Readonly<Record<string, Problem>> = {
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

const LOGS = 'ch202 logs auth --level error'

/** The same for reasons that concern one email, or that pass. */
const OTHER_PROBLEMS: Readonly<Record<string, Problem>> = {
  unreachable: ['The mail server cannot be reached', 'SMTP_URL=smtps://…'],
  timeout: ['The mail server did not answer in time', LOGS],
  connection_lost: ['The connection to the mail server was lost', LOGS],
  deferred: ['The mail server asks to try again later', 'ch202 mail list --status queued'],
  mailbox_refused: ['The mail server refuses this address', 'ch202 mail send-test <address>'],
  not_composed: ['The email could not be written, or not stored', LOGS],
}

/**
 * The failure for an email that did not leave.
 * @param mail as the API gives it @param isFinal whether auth tries no more
 */
export function mailFailure({ last_error, to }: { last_error: string | null; to: string }, isFinal: boolean): Failure {
  const reason = last_error ?? 'unknown'
  const [message, suggestion] = MAIL_PROBLEMS[reason] ?? OTHER_PROBLEMS[reason] ?? ['The email was not sent', LOGS]
  const rest = isFinal ? '' : '; it will be tried again'
  return new Failure(isFinal ? EXIT.failed : EXIT.tryAgain, `Not sent to ${to}: ${message}${rest}`, {
    code: reason,
    suggestion,
    retryable: !isFinal,
  })
}
