import { describe, expect, test } from 'bun:test'
import { failureOf, type MailFailure, type SmtpFailure } from './outcome.ts'

/** The code and command of the mail library for an answer to each step. */
const STEPS = {
  greeting: ['EPROTOCOL', 'CONN'],
  EHLO: ['EPROTOCOL', 'EHLO'],
  HELO: ['EPROTOCOL', 'HELO'],
  STARTTLS: ['ETLS', 'STARTTLS'],
  AUTH: ['EAUTH', 'AUTH PLAIN'],
  MAIL: ['EENVELOPE', 'MAIL FROM'],
  RCPT: ['EENVELOPE', 'RCPT TO'],
  DATA: ['EENVELOPE', 'DATA'],
  message: ['EMESSAGE', 'DATA'],
  closing: ['ECONNECTION', 'CONN'],
} as const

type Row = [step: keyof typeof STEPS, answer: string, reason: MailFailure['reason']]

const DEFERRED: Row[] = [
  ['greeting', '421 4.3.2 Too many connections', 'deferred'],
  ['greeting', '450 Not now', 'deferred'],
  ['EHLO', '421 Closing', 'deferred'],
  ['HELO', '450 Later', 'deferred'],
  ['STARTTLS', '454 4.7.0 TLS not available due to temporary reason', 'deferred'],
  ['AUTH', '454 4.7.0 Temporary authentication failure', 'deferred'],
  ['AUTH', '432 4.7.12 A password transition is needed', 'deferred'],
  ['AUTH', '421 4.7.0 Too many errors', 'deferred'],
  ['MAIL', '451 4.3.0 Try again', 'deferred'],
  ['MAIL', '452 4.3.1 Insufficient system storage', 'deferred'],
  ['RCPT', '450 4.2.0 <a@example.org>: Recipient address rejected: Greylisted', 'deferred'],
  ['RCPT', '451 4.7.1 Please try again later', 'deferred'],
  ['RCPT', '452 4.2.2 Mailbox full', 'deferred'],
  ['RCPT', '450 4.1.8 <no-reply@localhost>: Sender address rejected: Domain not found', 'deferred'],
  ['RCPT', '454 4.7.1 <a@example.org>: Relay access denied', 'relay_denied'],
  ['DATA', '451 4.3.0 Queue file write error', 'deferred'],
  ['message', '451 4.3.0 Later', 'deferred'],
  ['message', '421 4.7.0 Later', 'deferred'],
  ['message', '450-4.7.1 Relay\n450 4.7.1 Later', 'deferred'],
  ['closing', '421 4.4.2 Timeout', 'deferred'],
]

const FINAL: Row[] = [
  ['RCPT', '550 5.1.1 <a@example.org>: Recipient address rejected: User unknown', 'mailbox_refused'],
  ['RCPT', '550 No such user here', 'mailbox_refused'],
  ['RCPT', '550 5.4.1 Recipient address rejected: Access denied. [AM0.eurprd01.prod.outlook.com]', 'mailbox_refused'],
  ['RCPT', '550-5.1.1 The email account that you tried to reach does not exist.\n550 5.1.1 Read on', 'mailbox_refused'],
  ['RCPT', '551 User not local; please try <b@example.org>', 'mailbox_refused'],
  ['RCPT', '552 5.2.2 Mailbox full', 'mailbox_refused'],
  ['RCPT', '553 5.1.3 Invalid address format', 'mailbox_refused'],
  ['RCPT', '501 5.1.3 Bad recipient address syntax', 'mailbox_refused'],
  ['RCPT', '556 5.1.10 Recipient address has null MX', 'mailbox_refused'],
  ['RCPT', '554 Transaction failed', 'mailbox_refused'],
  // The address that the server repeats says nothing.
  ['RCPT', '550 <relay@example.org>: no such user', 'mailbox_refused'],
  ['RCPT', '550 sender.address@client.blocked.example is unknown', 'mailbox_refused'],
  [
    'RCPT',
    '550 5.1.1 <a@host.example>: Recipient address rejected: User unknown in relay recipient table',
    'mailbox_refused',
  ],
  ['DATA', '554 5.5.1 No valid recipients', 'message_refused'],
  ['message', '554 5.7.1 Message rejected as spam', 'message_refused'],
  ['message', '552 5.3.4 Message size exceeds fixed limit', 'message_refused'],
  ['message', '550 5.7.1 Relay access denied', 'message_refused'],
  ['message', '552 5.2.2 Mailbox full', 'mailbox_refused'],
  ['message', '552 Exceeded storage allocation', 'mailbox_refused'],
  ['message', '550 5.1.1 No such user', 'mailbox_refused'],
  ['message', '550 Content refused', 'message_refused'],
  ['message', '553 5.1.0 Sender rejected', 'message_refused'],
  ['message', '530 5.7.0 Authentication required', 'message_refused'],
  ['message', '503 Out of order', 'message_refused'],
  ['message', '500 What?', 'message_refused'],
]

const LOCAL: Row[] = [
  ['greeting', '554 5.7.1 No SMTP service here', 'greeting_refused'],
  ['greeting', '521 Does not accept mail', 'greeting_refused'],
  ['HELO', '550 5.7.1 Who are you?', 'hello_refused'],
  ['HELO', '504 5.5.2 Need fully-qualified hostname', 'hello_refused'],
  ['STARTTLS', '502 5.5.1 Not implemented', 'no_starttls'],
  ['STARTTLS', '501 Syntax error', 'no_starttls'],
  ['AUTH', '535 5.7.8 Authentication credentials invalid', 'authentication_failed'],
  ['AUTH', '534 5.7.9 Please log in with your web browser', 'authentication_failed'],
  ['AUTH', '538 5.7.11 Encryption required', 'authentication_failed'],
  ['AUTH', '504 5.5.4 Unrecognized authentication type', 'authentication_failed'],
  ['AUTH', '550 Suspended', 'authentication_failed'],
  ['MAIL', '530 5.7.0 Must issue a STARTTLS command first', 'authentication_required'],
  ['MAIL', '535 5.7.1 No', 'authentication_failed'],
  ['MAIL', '550 5.7.1 Sender not allowed', 'sender_refused'],
  ['MAIL', '550 Refused', 'sender_refused'],
  ['MAIL', '550 Authentication required', 'authentication_required'],
  ['MAIL', '501 5.1.7 Bad sender address syntax', 'sender_refused'],
  ['MAIL', '553 5.7.1 <x@example.org>: Sender address rejected: not owned by user', 'sender_refused'],
  ['MAIL', '554 Refused', 'sender_refused'],
  ['MAIL', '555 Parameters not recognized', 'sender_refused'],
  ['RCPT', '530 5.7.0 Authentication required', 'authentication_required'],
  ['RCPT', '535 Incorrect authentication data', 'authentication_failed'],
  ['RCPT', '550 authentication required', 'authentication_required'],
  ['RCPT', '503 5.5.1 AUTH first', 'authentication_required'],
  ['RCPT', '503 Bad sequence of commands', 'policy_refused'],
  ['RCPT', '553 5.7.1 <x@example.org>: Sender address rejected: not owned by user', 'sender_refused'],
  ['RCPT', '550 5.1.0 <x@example.org>: Sender address rejected: User unknown', 'sender_refused'],
  ['RCPT', '550-Verification failed for <x@example.org>\n550 Sender verify failed', 'sender_refused'],
  ['RCPT', '550 5.1.8 Bad', 'sender_refused'],
  ['RCPT', '554 relay access denied', 'relay_denied'],
  ['RCPT', '554 5.7.1 <a@example.org>: Relay access denied', 'relay_denied'],
  ['RCPT', '550 5.7.1 Unable to relay', 'relay_denied'],
  ['RCPT', '550 relay not permitted', 'relay_denied'],
  ['RCPT', '550 5.7.1 <a@example.org>... Relaying denied', 'relay_denied'],
  ['RCPT', "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", 'relay_denied'],
  ['RCPT', '553 No', 'policy_refused'],
  ['RCPT', '550 5.7.1 Access denied', 'policy_refused'],
  ['RCPT', '554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using a list', 'policy_refused'],
  ['RCPT', '550 JunkMail rejected - host [192.0.2.1] is listed', 'policy_refused'],
  ['RCPT', '504 5.5.2 <x>: Helo command rejected: need fully-qualified hostname', 'hello_refused'],
  ['DATA', '530 Authentication required', 'authentication_required'],
  ['DATA', '503 5.5.1 Out of order', 'policy_refused'],
  ['closing', '554 Closing', 'greeting_refused'],
]

describe('R15: what an answer of a mail server means', () => {
  const rows = (['retry', 'refused', 'misconfigured'] as const).flatMap((outcome, i) =>
    [DEFERRED, FINAL, LOCAL][i]?.map((row) => [outcome, ...row] as const),
  ) as [MailFailure['outcome'], ...Row][]
  test.each(rows)('%s: at %s, %s', (outcome, step, answer, reason) => {
    const [code, command] = STEPS[step]
    const trouble = { code, command, response: answer, responseCode: Number(answer.slice(0, 3)) }
    expect(failureOf(trouble)).toEqual({ outcome, reason })
  })
})

describe('R15: what became of the connection', () => {
  const rows: [MailFailure['outcome'], SmtpFailure, MailFailure['reason']][] = [
    ['retry', { code: 'ESOCKET', command: 'CONN', originalCode: 'ECONNREFUSED' }, 'unreachable'],
    ['retry', { code: 'ESOCKET', command: 'CONN', originalCode: 'EHOSTUNREACH' }, 'unreachable'],
    ['retry', { code: 'ESOCKET', command: 'CONN', originalCode: 'ECONNRESET' }, 'connection_lost'],
    ['retry', { code: 'EDNS', command: 'CONN', originalCode: 'ENOTFOUND' }, 'unreachable'],
    ['retry', { code: 'ETIMEDOUT', command: 'CONN', timeoutType: 'CONNECT_TIMEOUT' }, 'unreachable'],
    ['retry', { code: 'ETIMEDOUT', command: 'CONN', timeoutType: 'GREETING_TIMEOUT' }, 'timeout'],
    ['retry', { code: 'ETIMEDOUT', command: 'CONN', timeoutType: 'SOCKET_TIMEOUT' }, 'timeout'],
    ['retry', { code: 'ECONNECTION', command: 'CONN' }, 'connection_lost'],
    ['retry', { code: 'ECONNECTION', command: 'API' }, 'connection_lost'],
    ['retry', { code: 'EMESSAGE', command: 'DATA', responseCode: 354, response: '354 Go on' }, 'connection_lost'],
    ['retry', { code: 'EENVELOPE', command: 'RCPT TO', responseCode: 999, response: '999 x' }, 'connection_lost'],
    ['retry', {}, 'connection_lost'],
    ['refused', { code: 'EENVELOPE', command: 'API' }, 'mailbox_refused'],
    ['misconfigured', { code: 'EAUTH', command: 'API' }, 'authentication_failed'],
    ['misconfigured', { code: 'EPROTOCOL', command: 'CONN' }, 'not_a_mail_server'],
    ['misconfigured', { code: 'EMESSAGE', command: 'MAIL FROM' }, 'policy_refused'],
    ['misconfigured', { code: 'ETLS', command: 'CONN' }, 'tls_failed'],
    ['misconfigured', { code: 'ETLS', command: 'STARTTLS' }, 'tls_failed'],
    [
      'misconfigured',
      { code: 'ECONNECTION', command: 'EHLO', responseCode: 502, response: '502 Unknown' },
      'no_starttls',
    ],
    ...[
      'CERT_HAS_EXPIRED',
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      'SELF_SIGNED_CERT_IN_CHAIN',
      'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      'ERR_TLS_CERT_ALTNAME_INVALID',
      'ERR_SSL_WRONG_VERSION_NUMBER',
      'HOSTNAME_MISMATCH',
      'INVALID_CA',
      'EPROTO',
    ].map((originalCode): [MailFailure['outcome'], SmtpFailure, MailFailure['reason']] => [
      'misconfigured',
      { code: 'ESOCKET', command: 'CONN', originalCode },
      'tls_failed',
    ]),
  ]
  test.each(rows)('%s: %j', (outcome, trouble, reason) => {
    expect(failureOf(trouble)).toEqual({ outcome, reason })
  })
})
