import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { eventually, PATIENCE } from '../support/eventually.ts'
import { as, call, type Options } from '../support/http.ts'
import { mails, resetLinkIn } from '../support/mails.ts'
import { scrape } from '../support/metrics.ts'
import { processes } from '../support/processes.ts'
import { CUT, headerOf, ScriptedMailServer, type Session } from '../support/servers/mail-server.ts'
import { SECRET } from '../support/settings.ts'
import type { System } from '../support/system.ts'
import { runTool } from '../support/tool.ts'
import { sliced, WHOLE } from '../support/whole.ts'

setDefaultTimeout(120_000)

const MAIL_PASSWORD = 'password-of-the-mail-server-canary'
/** This machine by an address that is not a loopback address: it counts as another machine. */
const NOT_LOOPBACK = '0.0.0.0'

/** Starts a system in a process, and its mail server, for the `describe` that calls it. */
function withMailServer(address: (port: number) => string = (port) => `smtp://127.0.0.1:${port}`) {
  const server = new ScriptedMailServer()
  const more: Record<string, string> = {}
  const here = {
    server,
    /** Settings that count from the next start on. */
    more,
    system: undefined as unknown as System,
    url: '',
    async ask(request: string, options: Options = {}) {
      return await call(here.system.url.auth, request.replace(' ', ' /api/v1'), options)
    },
    async requestReset(email: string) {
      const { status } = await here.ask('POST /auth/password-reset-request', { body: { email } })
      expect(status).toBe(202)
    },
    confirm: async (token: string) =>
      (await here.ask('POST /auth/password-reset-confirm', { body: { token, new_password: 'a wholly new password' } }))
        .status,
    /** The mails to an address that the server has received completely. */
    copies: (email: string) => server.messages.filter(({ to }) => to === email),
    /** The sessions in which a mail to an address was attempted. */
    attempts: (email: string) => server.sessions.filter(({ to }) => to === email),
    async restart() {
      await here.system.kill('auth')
      await here.system.start('auth')
    },
    /** The number of mails with this outcome, by the metrics of auth. */
    async countOf(outcome: string) {
      const { text } = await call(here.system.url.auth, 'GET /metrics', { headers: as.operator })
      const line = new RegExp(`^ch202_mails_total\\{[^}]*outcome="${outcome}"[^}]*\\} (\\d+)$`, 'm')
      return Number(line.exec(text)?.[1])
    },
    /** The check `mail.waiting` of `ch202 doctor`. */
    async doctor() {
      const env = { CH202_DATA_DIR: here.system.dataDir, SMTP_URL: here.url, CH202_ENV: 'test' }
      const { stdout } = await runTool(['doctor', '--only', 'mail.waiting', '-o', 'json'], { env })
      return JSON.parse(stdout).items[0] as { status: string; message: string }
    },
  }
  beforeAll(async () => {
    here.url = address(await server.start())
    const env = {
      SMTP_URL: here.url,
      MAIL_FROM: 'Ch202 <accounts@example.org>',
      RATE_LIMIT: 'off',
      EMAIL_VERIFICATION: 'off',
    }
    here.system = await processes('together', env, { settingsOf: () => more })
  })
  afterAll(async () => {
    await here.system?.stop()
    server.stop()
  })
  return here
}

const tokenIn = ({ message }: Session) => resetLinkIn(message).searchParams.get('token') ?? ''
/** The parts that must be the same in each copy of one mail. */
const sameIn = (one: Session) => [headerOf(one, 'Message-ID'), headerOf(one, 'Date'), tokenIn(one), one.message]

/** Seconds after which the server answers to a message. The timeouts of an attempt are those of `attempts.test.ts`. */
const SLOW = WHOLE ? 25 : 5

describe('R5: a mail that the server has received', () => {
  const here = withMailServer()
  const { copies, server } = here

  // In the suite a restart takes the place of the 30 s (`queue.test.ts`).
  const when = WHOLE ? 'after 30 s' : 'after a restart'
  test(`is sent once when the answer comes after ${SLOW} s; others are sent meanwhile, and one whose connection broke ${when}`, async () => {
    const cut = await registerUser(here.system)
    server.script = { message: CUT }
    const cutAt = performance.now()
    await here.requestReset(cut.email)
    await eventually(() => copies(cut.email)[0])
    const slow = await registerUser(here.system)
    const others = await Promise.all(Array.from({ length: 9 }, () => registerUser(here.system)))
    const quick = await registerUser(here.system)
    const slowAnswer = Promise.withResolvers<string>()
    server.script = {
      message: ({ to }) => ([quick.email, cut.email].includes(to) ? '250 Taken' : slowAnswer.promise),
    }
    await here.requestReset(slow.email)
    await eventually(() => copies(slow.email)[0])
    const since = performance.now()
    for (const { email } of others) await here.requestReset(email)
    await here.requestReset(quick.email)
    await eventually(() => copies(quick.email)[0])
    await Bun.sleep(Math.max(0, SLOW * 1000 - (performance.now() - since)))
    slowAnswer.resolve('250 Taken')
    // A busy machine may take 30 s until here: then the one that was cut has been sent again, too.
    await eventually(async () => (await here.countOf('sent')) >= (WHOLE ? 12 : 11))
    if (!WHOLE) await here.restart()
    await eventually(async () => (await waitingMails(here)) === 0)
    if (WHOLE) expect(performance.now() - cutAt).toBeGreaterThan(29_900)
    const [first, ...again] = copies(cut.email)
    expect(again.length).toBeGreaterThan(0)
    for (const copy of again) expect(sameIn(copy)).toEqual(sameIn(first as Session))
    expect(await here.confirm(tokenIn(first as Session))).toBe(204)
    expect(server.messages.flatMap(({ to }) => (to === cut.email ? [] : [to])).toSorted()).toEqual(
      [slow, quick, ...others].map(({ email }) => email).toSorted(),
    )
    expect(await here.confirm(tokenIn(copies(slow.email)[0] as Session))).toBe(204)
  })

  test('without an answer is sent again with the same link and the same Message-ID, even after a crash', async () => {
    const { email } = await registerUser(here.system)
    server.script = { message: () => Promise.withResolvers<string>().promise }
    await here.requestReset(email)
    await eventually(() => copies(email).length === 1)
    server.script = {}
    // A link that was derived from the old CH202_SECRET stays the same.
    here.more.CH202_SECRET = `new-secret-of-the-tests-0123456789-abcdef,${SECRET}`
    await here.restart()
    await eventually(() => copies(email).length === 2)
    const [first, second] = copies(email)
    expect(sameIn(second as Session)).toEqual(sameIn(first as Session))
    expect(headerOf(first as Session, 'Message-ID')).toMatch(/^<[0-9a-f]{32}@example\.org>$/)
    // Both copies have the same link, which works once, from either copy.
    expect(await here.confirm(tokenIn(first as Session))).toBe(204)
    expect(await here.confirm(tokenIn(second as Session))).toBe(400)
  })

  test('without an answer is not sent again after its link was used', async () => {
    const [used, other] = [await registerUser(here.system), await registerUser(here.system)]
    server.script = { message: () => Promise.withResolvers<string>().promise }
    await here.requestReset(used.email)
    await here.requestReset(other.email)
    await eventually(() => copies(other.email).length + copies(used.email).length === 2)
    const [copy] = copies(used.email)
    expect(await here.confirm(tokenIn(copy as Session))).toBe(204)
    server.script = {}
    await here.restart()
    await eventually(() => copies(other.email).length === 2)
    await eventually(async () => (await waitingMails(here)) === 0)
    // Beside it there is the notice of the new password.
    const withLink = copies(used.email).filter(({ message }) => message.includes('/reset-password?'))
    expect(withLink).toHaveLength(1)
    expect(await here.confirm(tokenIn(copy as Session))).toBe(400)
  })

  test('voids no newer link: of two requests the later link works, whether the first mail arrives or not', async () => {
    const { email } = await registerUser(here.system)
    server.script = { RCPT: '450 4.2.0 Greylisted' }
    await here.requestReset(email)
    await eventually(() => here.system.output().split('"deferred"').length > 1)
    expect(await waitingMails(here)).toBe(1)
    server.script = {}
    await here.requestReset(email)
    await eventually(() => copies(email).length === 1)
    await eventually(async () => (await waitingMails(here)) === 1)
    await here.restart()
    await eventually(async () => (await waitingMails(here)) === 0)
    expect(copies(email)).toHaveLength(1)
    expect(await here.confirm(tokenIn(copies(email)[0] as Session))).toBe(204)
  })
})

/** The number of mails that wait, by the metrics of auth. */
async function waitingMails({ system }: { system: System }): Promise<number> {
  return (await scrape(system.url.auth)).sum('ch202_outbox_waiting', { outbox: 'mails' })
}

describe('R15: the answer of the server', () => {
  const here = withMailServer()
  const { attempts, server } = here

  test.each(
    sliced(
      [
        ['554 5.7.1 Spam', 'message', 'message_refused'],
        ['552 5.2.2 Mailbox full', 'message', 'mailbox_refused'],
        ['550 5.1.1 No such user', 'RCPT', 'mailbox_refused'],
      ] as const,
      2,
    ),
  )('%s at %s is final', async (answer, step, reason) => {
    const { email } = await registerUser(here.system)
    const before = await here.countOf('refused')
    server.script = { [step]: answer }
    await here.requestReset(email)
    await eventually(async () => (await here.countOf('refused')) === before + 1)
    await eventually(async () => (await waitingMails(here)) === 0)
    server.script = {}
    await here.restart()
    await Bun.sleep(500)
    expect(attempts(email)).toHaveLength(1)
    expect(here.system.output()).toContain(`"code":"${reason}"`)
  })

  test.each(
    sliced(
      [
        ['550 5.7.1 Not your sender', 'MAIL', 'sender_refused', 'refuses the sender'],
        ['554 relay access denied', 'RCPT', 'relay_denied', 'does not relay'],
        ['530 5.7.0 Authentication required', 'MAIL', 'authentication_required', 'requires a login'],
        ['554 No service', 'greeting', 'greeting_refused', 'refuses connections from this machine'],
      ] as const,
      4,
    ),
  )(
    '%s at %s is for the operator: doctor reports it until a mail is sent',
    async (answer, step, reason, expectedText) => {
      const { email } = await registerUser(here.system)
      const before = await here.countOf('misconfigured')
      const first = await registerUser(here.system)
      await here.requestReset(first.email)
      await eventually(() => here.copies(first.email)[0])
      await eventually(async () => (await here.doctor()).status === 'ok')
      const sessions = server.sessions.length
      server.script = { [step]: answer }
      await here.requestReset(email)
      await eventually(async () => (await here.countOf('misconfigured')) === before + 1)
      const { message } = await eventually(async () => {
        const check = await here.doctor()
        return check.status === 'warning' ? check : undefined
      })
      expect(message).toContain(expectedText)
      expect(message).toContain(reason)
      // The next attempt is minutes later.
      await Bun.sleep(3000)
      expect(server.sessions).toHaveLength(sessions + 1)
      server.script = {}
      await here.restart()
      await eventually(() => here.copies(email)[0])
      await eventually(async () => (await here.doctor()).status === 'ok')
    },
  )
})

describe('R26: a password in SMTP_URL, and a server that offers no encryption', () => {
  const here = withMailServer((port) => `smtp://mailer:${MAIL_PASSWORD}@${NOT_LOOPBACK}:${port}`)

  test('nothing is sent in plain text, and doctor reports it', async () => {
    const { email } = await registerUser(here.system)
    here.server.script = { EHLO: '250-mail.example.org\n250 AUTH PLAIN LOGIN' }
    await here.requestReset(email)
    await eventually(async () => (await here.countOf('misconfigured')) === 1)
    const words = here.server.sessions.flatMap(({ lines }) => lines.map((line) => line.split(' ')[0]))
    expect(words).toEqual(['EHLO', 'STARTTLS'])
    expect(here.server.messages).toEqual([])
    await eventually(async () => (await here.doctor()).message.includes('offers no encryption'))
    expect(here.system.output()).toContain('"code":"no_starttls"')
    expect(here.system.output()).not.toContain(MAIL_PASSWORD)
  })
})

test('R17: every mail in a file has the headers of mails that a program sends', async () => {
  const system = await processes('together', { MAIL_FROM: 'Магазин <no-reply@example.org>', EMAIL_VERIFICATION: 'off' })
  try {
    const { email, id } = await registerUser(system)
    await call(system.url.auth, 'POST /api/v1/auth/password-reset-request', { body: { email } })
    await eventually(() => mails(system).length === 1)
    const body = { email: newEmail(), current_password: PASSWORD }
    await call(system.url.users, `PATCH /api/v1/users/${id}`, { headers: as.operator, body: { email: body.email } })
    await eventually(() => mails(system).length === 2)
    const ids = mails(system).map((message) => {
      expect(headerOf({ message }, 'Auto-Submitted')).toBe('auto-generated')
      expect(Math.abs(Date.parse(headerOf({ message }, 'Date') ?? '') - Date.now())).toBeLessThan(PATIENCE)
      return headerOf({ message }, 'Message-ID')
    })
    for (const one of ids) expect(one).toMatch(/^<[0-9a-f]{32}@example\.org>$/)
    expect(new Set(ids).size).toBe(2)
  } finally {
    await system.stop()
  }
})
