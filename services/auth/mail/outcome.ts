/**
 * How an attempt to send a mail ended (RFC 5321, 4.2.1).
 * - `sent`: the server has taken it.
 * - `retry`: another attempt may succeed by itself: a 4yz, or a connection that failed.
 * - `refused`: final, a 5yz about this mailbox or this message.
 * - `misconfigured`: every mail fails like this until an operator changes something here or at the server.
 */
export type MailOutcome = 'sent' | 'retry' | 'refused' | 'misconfigured'

/** Why an attempt failed. A name of ours: the text of a server may repeat a password or a link. */
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
 * What no attempt changes, whoever the recipient is: an operator has to. A message that is refused as a whole is among
 * them, although its refusal is final.
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

/** What stood in the way of a mail, as the mail library reports it (nodemailer 10, `NodemailerError`). */
export interface SmtpTrouble {
  /** The command that was answered; `CONN`: none, `API`: nothing was sent. */
  command?: string | undefined
  responseCode?: number | undefined
  /** All that the server answered. */
  response?: string | undefined
  /** The library's name for the failure. `EMESSAGE` with `DATA`: the answer to the message, not to the command. */
  code?: string | undefined
  /** The system's name for it, where there is one. */
  originalCode?: string | undefined
  timeoutType?: string | undefined
}

/** Makes a failure that another attempt may not meet. */
const transient = (reason: MailReason): MailFailure => ({ outcome: 'retry', reason })
/** Makes a failure that is final. */
const final = (reason: MailReason): MailFailure => ({ outcome: 'refused', reason })
/** Makes a failure that an operator has to fix. */
const local = (reason: MailReason): MailFailure => ({ outcome: 'misconfigured', reason })

/** Bun's and OpenSSL's names for a handshake or a certificate that failed. */
const TLS = /CERT|TLS|SSL|EPROTO|ISSUER|SIGNATURE|HOSTNAME|_CRL|_CA$|_CHAIN|_PURPOSE|_UNTRUSTED/
/** A login is missing (530), is not one (535) or is not allowed like this (534, 538): RFC 4954, 6. */
const LOGIN = [530, 534, 535, 538]
/** RFC 3463, 3.2 and 3.3: about the mailbox; X.1.7 and X.1.8 are about the sender, X.1.0 about either. */
const MAILBOX = /^5\.(1\.(?![078]$)|2\.)/
/** RFC 3463, 3.8: about security or policy. */
const POLICY = /^5\.7\./
/** What servers say to a recipient when they mean whoever sends: many check that only once they know the recipient. */
const SAYS: [pattern: RegExp, reason: MailReason][] = [
  [/auth\w* (is )?(required|needed|first)|must (authenticate|log ?in)|log ?in first/i, 'authentication_required'],
  [/\bsender (address|verif)/i, 'sender_refused'],
  [/\b(helo|ehlo)\b/i, 'hello_refused'],
  [/relay|rcpthosts/i, 'relay_denied'],
  [
    /\b(client|host|ip)\b.{0,60}\b(rejected|blocked|listed|denied)\b|blocked using|block ?list|blacklist/i,
    'policy_refused',
  ],
]

/** What an attempt came to that did not send the mail. A pure table: `mail-outcome.test.ts` has a row for each case. */
export function failureOf(trouble: SmtpTrouble): MailFailure {
  const { command, response = '', responseCode = 0 } = trouble
  if (responseCode >= 500 && responseCode < 600) return permanent(trouble)
  if (responseCode < 400 || responseCode >= 600) return withoutAnswer(trouble)
  // Postfix does not say 5yz here unless it is told to: no attempt will succeed, but a 4yz is a 4yz.
  return transient(command === 'RCPT TO' && reasonIn(response) === 'relay_denied' ? 'relay_denied' : 'deferred')
}

/** The connection failed, or the server answered with something that is no failure of SMTP's. */
function withoutAnswer({ code, command = 'CONN', originalCode = '', timeoutType }: SmtpTrouble): MailFailure {
  if (command === 'API' && code === 'EENVELOPE') return final('mailbox_refused')
  if (code === 'EAUTH') return local('authentication_failed')
  if (code === 'ETLS' || TLS.test(originalCode)) return local('tls_failed')
  if (code === 'EDNS' || timeoutType === 'CONNECT_TIMEOUT') return transient('unreachable')
  if (code === 'ETIMEDOUT') return transient('timeout')
  if (code === 'ESOCKET') return transient(/ECONNRESET|EPIPE/.test(originalCode) ? 'connection_lost' : 'unreachable')
  if (code === 'EPROTOCOL' && command === 'CONN') return local('not_a_mail_server')
  // The message is larger than the server says it takes, which none of ours is.
  if (code === 'EMESSAGE' && command === 'MAIL FROM') return local('policy_refused')
  return transient('connection_lost')
}

/** RFC 5321, 4.2.1: the same command will be refused again. Whose it is to fix depends on the command. */
function permanent({ code, command = 'CONN', response = '', responseCode = 0 }: SmtpTrouble): MailFailure {
  if (command === 'DATA') return ofMessage(code === 'EMESSAGE', responseCode, response)
  if (LOGIN.includes(responseCode))
    return local(responseCode === 530 ? 'authentication_required' : 'authentication_failed')
  if (command.startsWith('AUTH')) return local('authentication_failed')
  if (command === 'RCPT TO') return ofRecipient(responseCode, response)
  if (command === 'MAIL FROM') return local(reasonIn(response) ?? 'sender_refused')
  if (command === 'STARTTLS') return local('no_starttls')
  // A server that knows no EHLO has no STARTTLS, where that is required.
  if (command === 'EHLO' || command === 'HELO') return local(code === 'ECONNECTION' ? 'no_starttls' : 'hello_refused')
  return local('greeting_refused')
}

/** @param isWhole whether the message was answered, not the command that announces it */
function ofMessage(isWhole: boolean, responseCode: number, response: string): MailFailure {
  // Some servers look for the mailbox, or for room in it (552), only now.
  const ofMailbox = MAILBOX.test(enhancedIn(response)) || (responseCode === 552 && enhancedIn(response) === '')
  if (isWhole) return final(ofMailbox ? 'mailbox_refused' : 'message_refused')
  if (LOGIN.includes(responseCode)) return local('authentication_required')
  // Out of order: the session was in the wrong state, which says nothing of the message.
  return responseCode === 503 ? local('policy_refused') : final('message_refused')
}

function ofRecipient(responseCode: number, response: string): MailFailure {
  const enhanced = enhancedIn(response)
  const reason = reasonIn(response)
  if (reason === 'sender_refused' || /^5\.1\.[78]$/.test(enhanced)) return local('sender_refused')
  if (MAILBOX.test(enhanced)) return final('mailbox_refused')
  if (reason) return local(reason)
  // 503: something else must come first, as a login. 553: the answer of some servers that do not relay.
  if (POLICY.test(enhanced) || responseCode === 503 || responseCode === 553) return local('policy_refused')
  return final('mailbox_refused')
}

/** The enhanced code of an answer (RFC 3463); empty: there is none. */
function enhancedIn(response: string): string {
  return /^\d{3}[ -](\d\.\d{1,3}\.\d{1,3})\b/.exec(response)?.[1] ?? ''
}

/** Looked for beside the addresses that the server repeats: a mailbox may be called relay. */
function reasonIn(response: string): MailReason | undefined {
  const text = response.replaceAll(/<[^>]*>|\S+@\S+/g, ' ')
  return SAYS.find(([pattern]) => pattern.test(text))?.[1]
}
