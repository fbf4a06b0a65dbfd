import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MAIL_PROBLEMS } from '../../cli/commands/mail/problems.ts'
import { openAuthStore } from '../../db/auth/store.ts'
import { type MailFailure, OPERATOR_REASONS } from '../../services/auth/mail/outcome.ts'
import { MailQueue } from '../../services/auth/mail/queue.ts'
import { type Mail, MailNotSent } from '../../services/auth/mail/transport.ts'
import type { AuthStore, MailKind, MailRequest } from '../../services/auth/store/index.ts'
import { type Clock, HOUR, MINUTE, SECOND } from '../../services/kit/clock.ts'
import { type LogFields, silentLog } from '../../services/kit/log.ts'
import { eventually } from '../support/eventually.ts'

const START = Date.parse('2026-11-20T10:00:00Z')
const FAR = 1000 * HOUR

const failed = (outcome: MailFailure['outcome'], reason: MailFailure['reason']) =>
  new MailNotSent({ outcome, reason }, { command: 'RCPT TO', responseCode: 450, response: 'secret-canary' })

/** A store without rows: each test copies it, which takes less time than to make one. */
let empty: string
let directory: string
let store: AuthStore
let queue: MailQueue
let ahead = 0
let sent: Mail[] = []
let counted: string[] = []
let logged: LogFields[] = []
/** Stands in for the mail server: a test sets what happens to each mail. */
let serve: (mail: Mail) => unknown = () => undefined
let mostAtOnce = 0
/** How often the queue has read the clock by which it decides how many mails may be sent at once. */
let looks = 0

const aheadClock: Clock = {
  now: () => START + ahead,
  monotonic() {
    looks++
    return ahead
  },
}

function openQueue(over: Partial<AuthStore> = {}, clock: Clock = aheadClock) {
  let atOnce = 0
  const send = async (mail: Mail) => {
    sent.push(mail)
    mostAtOnce = Math.max(mostAtOnce, ++atOnce)
    try {
      await serve(mail)
    } finally {
      atOnce--
    }
  }
  const compose = async ({ email }: MailRequest) => ({
    to: email,
    subject: 'A mail',
    text: 'It says this.',
    html: '<p>It says this.</p>',
  })
  return new MailQueue({
    store: Object.assign(Object.create(store), over),
    clock,
    log: { ...silentLog, error: (line) => logged.push(line) },
    mailer: { send, close: () => undefined },
    compose,
    count: (outcome) => counted.push(outcome),
  })
}

beforeAll(async () => {
  empty = mkdtempSync(join(tmpdir(), 'ch202-'))
  await (await openAuthStore({ dataDir: empty })).close()
})
afterAll(() => rmSync(empty, { recursive: true }))
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ch202-'))
  cpSync(empty, directory, { recursive: true })
  store = await openAuthStore({ dataDir: directory })
  ahead = 0
  sent = []
  counted = []
  logged = []
  mostAtOnce = 0
  serve = () => undefined
  queue = openQueue()
  queue.start()
})
afterEach(async () => {
  await queue.stop()
  await store.close()
  rmSync(directory, { recursive: true })
})

const ask = (id: string, kind: MailKind = 'password_reset') =>
  queue.add({
    id,
    kind,
    email: `${id}@example.org`,
    userId: null,
    locale: null,
    data: {},
    requestedAt: START + ahead,
    ip: null,
    requestId: `of-${id}`,
  })
const rows = () => store.mailRequestsDue(FAR + START, 0, 1000)
const rowOf = async (id: string) => (await rows()).find((row) => row.id === id)
const sentTo = (id: string) => sent.filter(({ to }) => to === `${id}@example.org`)
/** Lets time pass, wakes the queue, and waits until it has looked: a mail that is queued already is not queued again. */
const pass = async (ms: number, id: string, kind?: MailKind) => {
  ahead += ms
  await ask(id, kind)
  const before = looks
  await eventually(() => looks > before)
}

test('a mail is begun 25 ms after its request, even if the end of another wakes the queue: first comes the answer', async () => {
  const release = Promise.withResolvers<void>()
  let begunAt = 0
  serve = async ({ to }) => {
    if (to.startsWith('ana')) await release.promise
    else begunAt = performance.now()
  }
  await ask('ana')
  await eventually(() => sentTo('ana').length === 1)
  const requestedAt = performance.now()
  await ask('ben')
  release.resolve()
  await eventually(() => begunAt > 0)
  expect(begunAt - requestedAt).toBeGreaterThanOrEqual(24.9)
})

describe('R5, R15: a failed mail is attempted again', () => {
  const M = MINUTE
  const S = SECOND
  const rows: [MailFailure['outcome'], MailFailure['reason'], MailKind, pauses: number[], end: string][] = [
    ['retry', 'deferred', 'password_reset', [30 * S, M, 2 * M, 4 * M, 8 * M, 10 * M], 'expired'],
    ['retry', 'timeout', 'password_reset', [30 * S, M, 2 * M], ''],
    ['retry', 'connection_lost', 'email_changed', [30 * S, M, 2 * M, 4 * M, 8 * M, 16 * M, 32 * M, HOUR, HOUR], ''],
    ['retry', 'unreachable', 'password_reset', [S, 2 * S, 4 * S, 8 * S, 16 * S, 32 * S, M, M], ''],
    ['misconfigured', 'authentication_failed', 'password_reset', [5 * M, 10 * M, 10 * M], 'expired'],
    ['misconfigured', 'relay_denied', 'email_changed', [5 * M, 10 * M, 20 * M, 40 * M, HOUR, HOUR], ''],
    ['refused', 'mailbox_refused', 'password_reset', [], 'refused'],
    ['refused', 'message_refused', 'email_changed', [], 'refused'],
  ]
  test.each(rows)('%s, %s, %s: after %j ms', async (outcome, reason, kind, pauses, end) => {
    serve = () => {
      throw failed(outcome, reason)
    }
    await ask('ana', kind)
    for (const [tries, pause] of pauses.entries()) {
      const row = await eventually(async () => ((await rowOf('ana'))?.tries === tries + 1 ? rowOf('ana') : undefined))
      expect([row?.nextAt, row?.lastError]).toEqual([START + ahead + pause, reason])
      expect(sent).toHaveLength(tries + 1)
      await pass(pause - 1, 'ana', kind)
      expect(sent).toHaveLength(tries + 1)
      await pass(1, 'ana', kind)
    }
    if (end === '') return
    await eventually(async () => (await store.waitingMails()).count === 0)
    expect(counted).toEqual([...sent.map(() => outcome), ...(end === 'expired' ? ['expired'] : [])])
    expect(new Set(sent.map(({ id, at }) => `${id} ${at}`)).size).toBe(1)
    // The log has the reason, and no text of the server.
    expect(logged.at(-1)).toMatchObject({ code: reason, requestId: 'of-ana' })
    expect(JSON.stringify(logged)).not.toContain('canary')
  })

  test('a mail that waits for an operator is attempted at once after a restart', async () => {
    serve = () => {
      throw failed('misconfigured', 'authentication_failed')
    }
    await ask('ana')
    await eventually(async () => (await rowOf('ana'))?.tries === 1)
    await queue.stop()
    serve = () => undefined
    queue = openQueue()
    queue.start()
    await eventually(async () => (await store.waitingMails()).count === 0)
    expect(sent[1]).toEqual(sent[0] as Mail)
  })

  test('a mail of another request has another id, which reveals nothing about the request', async () => {
    await ask('ana')
    await ask('bea')
    await eventually(() => sent.length === 2)
    expect(new Set(sent.map(({ id }) => id)).size).toBe(2)
    for (const { id } of sent) expect(id).toMatch(/^[0-9a-f]{32}$/)
  })
})

describe('R5: the number of concurrent mails', () => {
  const slowAnswer = Promise.withResolvers<void>()
  const slow = (n: number) => `slow${n}`

  test('is eight, and grows while they are slow; none is sent twice meanwhile', async () => {
    serve = ({ to }) => (to.startsWith('slow') ? slowAnswer.promise : undefined)
    for (let n = 0; n < 8; n++) await ask(slow(n))
    await eventually(() => sent.length === 8)
    await ask('quick')
    await pass(1.9 * SECOND, 'quick')
    expect(sentTo('quick')).toHaveLength(0)
    await pass(0.2 * SECOND, 'quick')
    await eventually(async () => (await rowOf('quick')) === undefined)
    for (let minute = 0; minute < 9; minute++) await pass(MINUTE, slow(0))
    expect([sent.length, mostAtOnce]).toEqual([9, 9])
    slowAnswer.resolve()
    await eventually(async () => (await store.waitingMails()).count === 0)
    expect(counted).toEqual(sent.map(() => 'sent'))
  })

  test('grows with time, without a further request for a mail', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    serve = ({ to }) => (to.startsWith('slow') ? promise : undefined)
    await queue.stop()
    // The clock runs, as in the service.
    const began = performance.now()
    const monotonic = () => performance.now() - began
    queue = openQueue({}, { now: () => START + monotonic(), monotonic })
    queue.start()
    for (let n = 0; n < 8; n++) await ask(slow(n))
    await eventually(() => sent.length === 8)
    await ask('quick')
    await eventually(() => sentTo('quick').length === 1)
    expect(mostAtOnce).toBe(9)
    resolve()
  })

  test('is at most a hundred', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    serve = () => promise
    for (let n = 0; n < 130; n++) await ask(slow(n))
    for (let steps = 0; steps < 20; steps++) {
      await eventually(() => sent.length === Math.min(8 * (steps + 1), 100))
      await pass(6 * SECOND, slow(0))
    }
    expect([sent.length, mostAtOnce]).toEqual([100, 100])
    serve = () => undefined
    resolve()
    await eventually(async () => (await store.waitingMails()).count === 0)
    expect(sent).toHaveLength(130)
  })
})

describe('R15: a problem that an operator has to fix', () => {
  const trouble = async () => JSON.parse((await store.fact('mail_trouble')) || 'null')

  test('is stored until a mail is sent', async () => {
    serve = () => {
      throw failed('misconfigured', 'sender_refused')
    }
    await ask('ana')
    await eventually(async () => (await rowOf('ana'))?.tries === 1)
    expect(await trouble()).toEqual({ reason: 'sender_refused', at: START })
    serve = () => {
      throw failed('refused', 'mailbox_refused')
    }
    await ask('bea')
    await eventually(async () => (await rowOf('bea')) === undefined)
    expect(await trouble()).toEqual({ reason: 'sender_refused', at: START })
    serve = () => undefined
    await ask('cleo')
    await eventually(async () => (await rowOf('cleo')) === undefined)
    expect(await trouble()).toBeNull()
  })

  test.each([
    ['retry', 'deferred', null],
    ['retry', 'unreachable', null],
    ['refused', 'mailbox_refused', null],
    ['retry', 'relay_denied', 'relay_denied'],
    ['refused', 'message_refused', 'message_refused'],
    ['misconfigured', 'no_starttls', 'no_starttls'],
  ] as const)('with the outcome %s and the reason %s is stored as %s', async (outcome, reason, expected) => {
    serve = () => {
      throw failed(outcome, reason)
    }
    await ask('ana')
    await eventually(async () => (await rowOf('ana'))?.tries !== 0)
    expect((await trouble())?.reason ?? null).toBe(expected)
  })
})

describe('R5: a mail that was sent is not sent again', () => {
  test('when its row cannot be deleted because the disk is full', async () => {
    await queue.stop()
    let failures = 0
    const finishMailRequest: AuthStore['finishMailRequest'] = async (...end) => {
      if (++failures < 3) throw new Error('disk full')
      await store.finishMailRequest(...end)
    }
    queue = openQueue({ finishMailRequest })
    queue.start()
    await ask('ana')
    await eventually(async () => (await store.waitingMails()).count === 0)
    expect([sent.length, failures, counted]).toEqual([1, 3, ['sent']])
  })

  test('at once when its failure cannot be stored, and does not delay other mails', async () => {
    await queue.stop()
    const full = () => Promise.reject(new Error('disk full'))
    queue = openQueue({ postponeMailRequest: full })
    queue.start()
    serve = ({ to }) => {
      if (to.startsWith('ana')) throw failed('retry', 'deferred')
    }
    await ask('ana')
    await eventually(() => logged.some(({ outcome }) => outcome === undefined))
    await ask('bea')
    await eventually(async () => (await rowOf('bea')) === undefined)
    await Bun.sleep(1500)
    expect(sentTo('ana')).toHaveLength(1)
  })

  test('unless the queue stops before the answer: the next start sends the same mail', async () => {
    serve = () => Promise.withResolvers<void>().promise
    await ask('ana')
    await eventually(() => sent.length === 1)
    await queue.stop()
    expect(await rowOf('ana')).toMatchObject({ tries: 0, lastError: null })
    expect(counted).toEqual([])
    serve = () => undefined
    queue = openQueue()
    queue.start()
    await eventually(async () => (await store.waitingMails()).count === 0)
    expect(sent[1]).toEqual(sent[0] as Mail)
  })
})

test('R15: ch202 doctor explains every problem that an operator has to fix', () => {
  expect(Object.keys(MAIL_PROBLEMS).toSorted()).toEqual([...OPERATOR_REASONS].toSorted())
})
