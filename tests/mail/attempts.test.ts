import { afterEach, describe, expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SMTPServer } from 'smtp-server'
import { fileMailer, type Mail, MailNotSent, type Patience, smtpMailer } from '../../services/auth/mail/transport.ts'
import { silentLog } from '../../services/kit/log.ts'
import { systemRandom } from '../../services/kit/random.ts'
import { eventually } from '../support/eventually.ts'
import { type Act, CUT, headerOf, ScriptedMailServer, SILENCE, type Step } from '../support/servers/mail-server.ts'

const TOKEN = 'kq3v9TtT3mVxL0bq1Yk9Zg'
const PASSWORD = 'the-password-of-the-mail-server'
const AT = Date.parse('2026-11-20T10:00:00Z')
const MAIL: Mail = {
  id: '0123456789abcdef0123456789abcdef',
  at: AT,
  to: 'ana@example.net',
  subject: 'Reset your password',
  text: `Open this link:\nhttps://app.example.org/reset-password?token=${TOKEN}\n`,
  html: `<p>Open this link: https://app.example.org/reset-password?token=${TOKEN}</p>\n`,
}
const FROM = 'Ch202 <accounts@example.org>'
/** Timeouts that are longer than any step here takes, even on a busy machine. */
const PATIENT: Patience = { connection: 20_000, envelope: 20_000, message: 20_000 }

const servers: { stop(): unknown }[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.stop()
})

async function scripted(script: ScriptedMailServer['script']) {
  const server = new ScriptedMailServer(script)
  servers.push(server)
  return { server, port: await server.start() }
}

/** Makes one attempt. @returns its outcome and the reason of a failure */
async function attempt(url: string, patience = PATIENT, mail = MAIL) {
  try {
    await smtpMailer(url, FROM, patience).send(mail)
    return { outcome: 'sent', reason: null }
  } catch (error) {
    if (!(error instanceof MailNotSent)) throw error
    expect(JSON.stringify([error.message, error.step, error.status])).not.toMatch(/token|password-of/)
    return error.failure
  }
}

const commands = (server: ScriptedMailServer) =>
  server.sessions.flatMap(({ lines }) => lines.map((line) => line.split(' ')[0]))

type Row = [outcome: string, step: Step, act: Act, reason: string | null]

const ROWS: Row[] = [
  ['sent', 'message', '250 2.0.0 Taken', null],
  ['sent', 'EHLO', '502 5.5.1 Not implemented', null],
  ['sent', 'EHLO', '250-mail.example.org\n250-PIPELINING\n250 SIZE 10000000', null],
  ['retry', 'greeting', '421 4.3.2 Too many connections', 'deferred'],
  ['retry', 'EHLO', '421 4.3.2 Closing', 'deferred'],
  ['retry', 'MAIL', '451 4.3.0 Later', 'deferred'],
  ['retry', 'RCPT', '450 4.2.0 Greylisted', 'deferred'],
  ['retry', 'RCPT', '421 4.7.0 Closing', 'deferred'],
  ['retry', 'DATA', '451 4.3.0 Later', 'deferred'],
  ['retry', 'message', '452 4.3.1 Disk full', 'deferred'],
  ['retry', 'message', '421 4.4.2 Closing', 'deferred'],
  ['refused', 'RCPT', '550 5.1.1 No such user', 'mailbox_refused'],
  ['refused', 'DATA', '554 5.5.1 No valid recipients', 'message_refused'],
  ['refused', 'message', '554 5.7.1 Spam', 'message_refused'],
  ['refused', 'message', '552 5.2.2 Mailbox full', 'mailbox_refused'],
  ['misconfigured', 'greeting', '554 No service', 'greeting_refused'],
  ['misconfigured', 'greeting', 'HTTP/1.1 400 Bad Request', 'not_a_mail_server'],
  ['misconfigured', 'greeting', 'SSH-2.0-OpenSSH_9.6', 'not_a_mail_server'],
  ['misconfigured', 'MAIL', '550 5.7.1 Sender not allowed', 'sender_refused'],
  ['misconfigured', 'MAIL', '530 5.7.0 Authentication required', 'authentication_required'],
  ['misconfigured', 'MAIL', '553 5.1.8 Not yours', 'sender_refused'],
  ['misconfigured', 'RCPT', '554 relay access denied', 'relay_denied'],
  ['misconfigured', 'RCPT', '550 5.7.1 Unable to relay', 'relay_denied'],
  ...(['greeting', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'message'] as const).map(
    (step): Row => ['retry', step, CUT, 'connection_lost'],
  ),
]

describe('R15: an attempt against a mail server that', () => {
  const cases = ROWS.map(([outcome, step, act, reason]) => [step, act.toString(), outcome, act, reason] as const)
  test.each(cases)('at %s answers %s ends as %s', async (step, _, outcome, act, reason) => {
    const { port, server } = await scripted({ [step]: act })
    expect(await attempt(`smtp://127.0.0.1:${port}`)).toEqual({ outcome, reason } as never)
    expect(server.sessions).toHaveLength(1)
    const isReceived = outcome === 'sent' || step === 'message'
    expect(server.messages).toHaveLength(isReceived ? 1 : 0)
  })

  test.each(['550 5.1.1 No such user', '450 4.2.0 Greylisted', '554 relay access denied'])(
    'accepts pipelined commands and answers RCPT with %s gets no message',
    async (answer) => {
      const { port, server } = await scripted({
        EHLO: '250-mail.example.org\n250 PIPELINING',
        RCPT: answer,
        DATA: '503 5.5.1 No recipients',
      })
      const { outcome } = await attempt(`smtp://127.0.0.1:${port}`)
      expect(outcome).toBe({ 550: 'refused', 450: 'retry', 554: 'misconfigured' }[answer.slice(0, 3)] ?? '')
      expect(server.messages).toHaveLength(0)
    },
  )

  test('refuses both EHLO and HELO fails', async () => {
    const { port } = await scripted({ EHLO: '502 Unknown', HELO: '504 5.5.2 Need a full name' })
    expect(await attempt(`smtp://127.0.0.1:${port}`)).toEqual({ outcome: 'misconfigured', reason: 'hello_refused' })
  })

  test.each([
    ['454 4.7.0 Not now', ['deferred']],
    ['502 Not implemented', ['no_starttls']],
    // An unanswered handshake ends with its timeout.
    ['220 Go on, unencrypted', ['tls_failed', 'timeout']],
  ])('offers STARTTLS and answers it with %s gets nothing in plain text', async (answer, reasons) => {
    const { port, server } = await scripted({ EHLO: '250-mail.example.org\n250 STARTTLS', STARTTLS: answer })
    const patience = { ...PATIENT, connection: 2000 }
    const { reason } = await attempt(`smtp://127.0.0.1:${port}`, patience)
    expect(reasons).toContain(String(reason))
    expect(commands(server).filter((word) => /MAIL|RCPT|DATA|AUTH/.test(word ?? ''))).toEqual([])
  })

  test.each([
    ['535 5.7.8 Wrong', 'misconfigured'],
    ['454 4.7.0 Later', 'retry'],
    ['535-5.7.8 Echo\n535 5.7.8 Wrong', 'misconfigured'],
  ])('refuses the login with %s ends as %s, and no mail is sent', async (answer, outcome) => {
    const { port, server } = await scripted({ EHLO: '250-mail.example.org\n250 AUTH PLAIN LOGIN', AUTH: answer })
    expect((await attempt(`smtp://u:${PASSWORD}@127.0.0.1:${port}`)).outcome).toBe(outcome)
    expect(commands(server)).not.toContain('MAIL')
  })

  test('does not run, or whose name is unknown, is retried', async () => {
    const expected = { outcome: 'retry', reason: 'unreachable' } as const
    expect(await attempt('smtp://127.0.0.1:1')).toEqual(expected)
    expect(await attempt('smtp://no-such-host.invalid')).toEqual(expected)
  })

  test.each([
    ['has a self-signed certificate, with STARTTLS', false, '', 'tls_failed'],
    ['has a self-signed certificate, with TLS from the start', true, '', 'tls_failed'],
    ['is trusted without a check by the setting, with STARTTLS', false, '?tls.rejectUnauthorized=false', null],
    ['is trusted without a check by the setting, with TLS from the start', true, '?tls.rejectUnauthorized=false', null],
  ])('%s', async (_, secure, options, reason) => {
    const isSecure: boolean[] = []
    const server = new SMTPServer({
      secure,
      authOptional: true,
      onData(stream, session, done) {
        stream.resume()
        stream.on('end', () => {
          isSecure.push(session.secure)
          done()
        })
      },
    })
    server.on('error', () => undefined)
    servers.push({ stop: () => server.close() })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.server.address() as { port: number }
    const got = await attempt(`smtp${secure ? 's' : ''}://127.0.0.1:${port}${options}`)
    expect(got.reason).toBe(reason as never)
    expect(isSecure).toEqual(reason === null ? [true] : [])
  })
})

describe('R5: the timeouts of an attempt', () => {
  test('are much longer for the answer to the message than for the other steps', async () => {
    const { port, server } = await scripted({
      async message() {
        await Bun.sleep(6000)
        return '250 Taken'
      },
    })
    const patience = { connection: 5000, envelope: 5000, message: 60_000 }
    expect(await attempt(`smtp://127.0.0.1:${port}`, patience)).toEqual({ outcome: 'sent', reason: null } as never)
    expect([server.sessions.length, server.messages.length]).toEqual([1, 1])
  })

  test.each([
    ['greeting', { connection: 300 }],
    ['EHLO', { envelope: 300 }],
    ['MAIL', { envelope: 300 }],
    ['RCPT', { envelope: 300 }],
    ['DATA', { envelope: 300 }],
    ['message', { message: 1000 }],
  ] as const)('end the connection to a server that stops answering at %s', async (step, patience) => {
    const { port, server } = await scripted({ [step]: SILENCE })
    const result = await attempt(`smtp://127.0.0.1:${port}`, { ...PATIENT, ...patience })
    expect(result).toEqual({ outcome: 'retry', reason: 'timeout' })
    await eventually(() => server.sessions.every(({ isClosed }) => isClosed))
  })

  test('do not delay closing a mailer, which ends its attempts', async () => {
    const { port, server } = await scripted({ message: SILENCE })
    const mailer = smtpMailer(`smtp://127.0.0.1:${port}`, FROM, PATIENT)
    const sending = mailer.send(MAIL).catch((error) => error)
    await eventually(() => server.messages.length > 0)
    mailer.close()
    expect(await sending).toBeInstanceOf(MailNotSent)
    await eventually(() => server.sessions.every(({ isClosed }) => isClosed))
  })
})

describe('R26: with a password for a mail server on another machine', () => {
  // This machine by an address that is not a loopback address: it counts as another machine.
  const NOT_LOOPBACK = '0.0.0.0'
  const OFFERS_LOGIN = { EHLO: '250-mail.example.org\n250 AUTH PLAIN LOGIN' }

  test.each([
    ['offers no STARTTLS', OFFERS_LOGIN],
    ['offers STARTTLS and refuses it', { EHLO: '250-x\n250-STARTTLS\n250 AUTH PLAIN', STARTTLS: '500 What?' }],
    ['knows no EHLO', { EHLO: '502 What?' }],
    ['offers no login either', {}],
  ])('a server that %s gets neither the password nor the mail', async (_, script) => {
    const { port, server } = await scripted(script)
    const result = await attempt(`smtp://u:${PASSWORD}@${NOT_LOOPBACK}:${port}`)
    expect(result).toEqual({ outcome: 'misconfigured', reason: 'no_starttls' })
    expect(server.sessions).toHaveLength(1)
    expect(commands(server).filter((word) => !/^(EHLO|STARTTLS)$/.test(word ?? ''))).toEqual([])
    expect(server.messages).toEqual([])
  })

  test.each([
    ['which may be sent in plain text', `u:${PASSWORD}@${NOT_LOOPBACK}`, '?requireTLS=false', ['AUTH']],
    ['but without a password', NOT_LOOPBACK, '', []],
    ['but on this machine', `u:${PASSWORD}@127.0.0.1`, '', ['AUTH']],
  ])('%s, the mail is sent', async (_, host, options, login) => {
    const { port, server } = await scripted(OFFERS_LOGIN)
    expect((await attempt(`smtp://${host}:${port}${options}`)).outcome).toBe('sent' as never)
    expect(commands(server).filter((word) => word === 'AUTH')).toEqual(login as never)
    expect(server.messages).toHaveLength(1)
  })

  test('but on this machine with requireTLS, nothing is sent without TLS', async () => {
    const { port, server } = await scripted(OFFERS_LOGIN)
    const result = await attempt(`smtp://127.0.0.1:${port}?requireTLS=true`)
    expect(result).toEqual({ outcome: 'misconfigured', reason: 'no_starttls' })
    expect(commands(server)).toEqual(['EHLO', 'STARTTLS'])
  })
})

describe('R17: the headers of a mail', () => {
  const dates = (message: string) => Date.parse(headerOf({ message }, 'Date') ?? '')
  const expectHeaders = (message: string, domain = 'example.org') => {
    expect(headerOf({ message }, 'Message-ID')).toBe(`<${MAIL.id}@${domain}>`)
    expect(headerOf({ message }, 'Auto-Submitted')).toBe('auto-generated')
    expect(dates(message)).toBe(AT)
    expect(headerOf({ message }, 'To')).toBe('ana@example.net')
    for (const name of ['Message-ID', 'Date', 'Auto-Submitted', 'From', 'To', 'Subject'])
      expect(message.match(new RegExp(`^${name}:`, 'gim'))).toHaveLength(1)
  }

  test('are the same bytes in each attempt by SMTP', async () => {
    const { port, server } = await scripted({})
    const mailer = smtpMailer(`smtp://127.0.0.1:${port}`, FROM)
    await mailer.send(MAIL)
    await mailer.send({ ...MAIL })
    const [first, second] = server.messages
    expectHeaders(first?.message ?? '')
    expect(headerOf({ message: first?.message ?? '' }, 'From')).toBe('Ch202 <accounts@example.org>')
    expect(second?.message).toBe(first?.message ?? '')
  })

  test('fit senders with other names and domains', async () => {
    const { port, server } = await scripted({})
    for (const from of ['"Ann, Inc." <a@example.org>', 'Магазин <no-reply@пример.рф>', 'a@localhost'])
      await smtpMailer(`smtp://127.0.0.1:${port}`, from).send(MAIL)
    const [quoted, international, bare] = server.messages.map(({ message }) => message)
    expect(headerOf({ message: quoted ?? '' }, 'From')).toBe('"Ann, Inc." <a@example.org>')
    expectHeaders(quoted ?? '')
    expectHeaders(international ?? '', 'xn--e1afmkfd.xn--p1ai')
    expect(headerOf({ message: international ?? '' }, 'From')).toMatch(
      /^=\?UTF-8\?[BQ]\?.+\?= <no-reply@xn--e1afmkfd\.xn--p1ai>$/,
    )
    expectHeaders(bare ?? '', 'localhost')
    expect(server.sessions[1]?.lines).toContain('MAIL FROM:<no-reply@xn--e1afmkfd.xn--p1ai>')
  })

  test('are complete in a file', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'ch202-'))
    const clock = { now: () => AT + 1000, monotonic: () => 0 }
    await fileMailer(directory, FROM, { clock, random: systemRandom, log: silentLog }).send(MAIL)
    const names = readdirSync(directory)
    expect(names).toHaveLength(1)
    expectHeaders(readFileSync(join(directory, names[0] ?? ''), 'utf8'))
    rmSync(directory, { recursive: true })
  })
})
