/**
 * How an attempt to send a mail ended (RFC 5321, 4.2.1).
 * - `sent`: the server accepted it.
 * - `retry`: a later attempt may succeed: a 4yz answer, or a failed connection.
 * - `refused`: permanent, a 5yz answer about this mailbox or this message.
 * - `misconfigured`: every mail fails until an operator changes something here or at the server.
 */
export type MailOutcome = 'sent' | 'retry' | 'refused' | 'misconfigured'

/** The reason of a failed attempt: a code of ours, because a server's text may repeat a password or a link. */
export type MailReason =
  // retry
  | 'unreachable'
  | 'timeout'
  | 'connection_lost'
  | 'deferred'
  // refused
  | 'mailbox_refused'
  | 'message_refused'
  // misconfigured
  | 'not_a_mail_server'
  | 'greeting_refused'
  | 'hello_refused'
  | 'no_starttls'
  | 'tls_failed'
  | 'authentication_failed'
  | 'authentication_required'
  | 'sender_refused'
  | 'relay_denied'
  | 'policy_refused'

/**
 * Reasons for which every mail fails until an operator acts. A refused message is one of them: it is not retried, but the
 * next message would be refused too.
 */
export const OPERATOR_REASONS: ReadonlySet<string> = new Set([
  'not_a_mail_server',
  'greeting_refused',
  'hello_refused',
  'no_starttls',
  'tls_failed',
  'authentication_failed',
  'authentication_required',
  'sender_refused',
  'relay_denied',
  'policy_refused',
  'message_refused',
])

export interface MailFailure {
  outcome: Exclude<MailOutcome, 'sent'>
  reason: MailReason
}

/** A failed attempt, as the mail library reports it (nodemailer 10, `NodemailerError`). */
export interface SmtpFailure {
  /** The command that the server answered. `CONN`: no command; `API`: nothing was sent. */
  command?: string | undefined
  responseCode?: number | undefined
  /** The complete answer of the server. */
  response?: string | undefined
  /** The library's code. `EMESSAGE` with `DATA`: the server answered the message, not the command. */
  code?: string | undefined
  /** The system's code, if there is one. */
  originalCode?: string | undefined
  timeoutType?: string | undefined
}

/** A failure that a later attempt may avoid. */
const transient = (reason: MailReason): MailFailure => ({ outcome: 'retry', reason })
/** A permanent failure. */
const final = (reason: MailReason): MailFailure => ({ outcome: 'refused', reason })
/** A failure that an operator must fix. */
const local = (reason: MailReason): MailFailure => ({ outcome: 'misconfigured', reason })

/** The codes of Bun and OpenSSL for a failed handshake or certificate. */
const TLS = /CERT|TLS|SSL|EPROTO|ISSUER|SIGNATURE|HOSTNAME|_CRL|_CA$|_CHAIN|_PURPOSE|_UNTRUSTED/
/** Codes that ask for a login (530), refuse it (535), or ask for another method or encryption (534, 538): RFC 4954, 6. */
const LOGIN = [530, 534, 535, 538]
/** Enhanced codes about the mailbox (RFC 3463, 3.2 and 3.3). X.1.7 and X.1.8 are about the sender, X.1.0 about either. */
const MAILBOX = /^5\.(1\.(?![078]$)|2\.)/
/** Enhanced codes about security or policy (RFC 3463, 3.8). */
const POLICY = /^5\.7\./
/**
 * Reasons that only the text of an answer shows. Many servers check the sender, the client and relaying only once they know
 * the recipient, and their codes do not tell these from an unknown mailbox.
 */
const REASONS_BY_TEXT: [pattern: RegExp, reason: MailReason][] = [
  [/auth\w* (is )?(required|needed|first)|must (authenticate|log ?in)|log ?in first/i, 'authentication_required'],
  [/\bsender (address|verif)/i, 'sender_refused'],
  [/\b(helo|ehlo)\b/i, 'hello_refused'],
  [/relay|rcpthosts/i, 'relay_denied'],
  [
    /\b(client|host|ip)\b.{0,60}\b(rejected|blocked|listed|denied)\b|blocked using|block ?list|blacklist/i,
    'policy_refused',
  ],
]

/** Classifies a failed attempt. */
export function failureOf(trouble: SmtpFailure): MailFailure {
  const { command, response = '', responseCode = 0 } = trouble
  if (responseCode >= 500 && responseCode < 600) return permanent(trouble)
  if (responseCode < 400 || responseCode >= 600) return withoutAnswer(trouble)
  // Postfix denies relaying with a 4yz unless configured otherwise. Retries will not succeed, but a 4yz allows them.
  return transient(command === 'RCPT TO' && reasonIn(response) === 'relay_denied' ? 'relay_denied' : 'deferred')
}

/** Classifies a failed connection, and an answer whose code is not a failure code of SMTP. */
function withoutAnswer({ code, command = 'CONN', originalCode = '', timeoutType }: SmtpFailure): MailFailure {
  if (command === 'API' && code === 'EENVELOPE') return final('mailbox_refused')
  if (code === 'EAUTH') return local('authentication_failed')
  if (code === 'ETLS' || TLS.test(originalCode)) return local('tls_failed')
  if (code === 'EDNS' || timeoutType === 'CONNECT_TIMEOUT') return transient('unreachable')
  if (code === 'ETIMEDOUT') return transient('timeout')
  if (code === 'ESOCKET') return transient(/ECONNRESET|EPIPE/.test(originalCode) ? 'connection_lost' : 'unreachable')
  if (code === 'EPROTOCOL' && command === 'CONN') return local('not_a_mail_server')
  // The message is larger than the size that the server announced. Our messages are small, so it accepts none.
  if (code === 'EMESSAGE' && command === 'MAIL FROM') return local('policy_refused')
  return transient('connection_lost')
}

/** Classifies a 5yz: the server would refuse the same command again (RFC 5321, 4.2.1). The command decides who must act. */
function permanent({ code, command = 'CONN', response = '', responseCode = 0 }: SmtpFailure): MailFailure {
  if (command === 'DATA') return messageRefusal(code === 'EMESSAGE', responseCode, response)
  if (LOGIN.includes(responseCode))
    return local(responseCode === 530 ? 'authentication_required' : 'authentication_failed')
  if (command.startsWith('AUTH')) return local('authentication_failed')
  if (command === 'RCPT TO') return recipientRefusal(responseCode, response)
  if (command === 'MAIL FROM') return local(reasonIn(response) ?? 'sender_refused')
  if (command === 'STARTTLS') return local('no_starttls')
  // A server without EHLO has no STARTTLS, which is required here.
  if (command === 'EHLO' || command === 'HELO') return local(code === 'ECONNECTION' ? 'no_starttls' : 'hello_refused')
  return local('greeting_refused')
}

/**
 * Classifies a 5yz to `DATA` or to the message.
 * @param isAnswerToMessage whether the server answered the message rather than the command
 */
function messageRefusal(isAnswerToMessage: boolean, responseCode: number, response: string): MailFailure {
  // Some servers check the mailbox, or its quota (552), only now.
  const ofMailbox = MAILBOX.test(enhancedIn(response)) || (responseCode === 552 && enhancedIn(response) === '')
  if (isAnswerToMessage) return final(ofMailbox ? 'mailbox_refused' : 'message_refused')
  if (LOGIN.includes(responseCode)) return local('authentication_required')
  // 503: a command came out of order. This is about the session, not about the message.
  return responseCode === 503 ? local('policy_refused') : final('message_refused')
}

/** Classifies a 5yz to `RCPT TO`. */
function recipientRefusal(responseCode: number, response: string): MailFailure {
  const enhanced = enhancedIn(response)
  const reason = reasonIn(response)
  if (reason === 'sender_refused' || /^5\.1\.[78]$/.test(enhanced)) return local('sender_refused')
  if (MAILBOX.test(enhanced)) return final('mailbox_refused')
  if (reason) return local(reason)
  // 503: another command must come first, such as a login. 553: some servers deny relaying with it.
  if (POLICY.test(enhanced) || responseCode === 503 || responseCode === 553) return local('policy_refused')
  return final('mailbox_refused')
}

/** Returns the enhanced status code of an answer (RFC 3463), or an empty string. */
function enhancedIn(response: string): string {
  return /^\d{3}[ -](\d\.\d{1,3}\.\d{1,3})\b/.exec(response)?.[1] ?? ''
}

/** Returns the reason that the text of an answer shows. Ignores the addresses in it: a mailbox may be called relay. */
function reasonIn(response: string): MailReason | undefined {
  const text = response.replaceAll(/<[^>]*>|\S+@\S+/g, ' ')
  return REASONS_BY_TEXT.find(([pattern]) => pattern.test(text))?.[1]
}
