import { beforeAll, describe, expect, test } from 'bun:test'
import { MINUTE, SECOND } from '../../services/kit/clock.ts'
import { createUser, logIn, newEmail, PASSWORD } from '../support/actors.ts'
import { nextMail, requested } from '../support/challenges.ts'
import { eventually } from '../support/eventually.ts'
import { type Answer, as, type Client, jsonLines } from '../support/http.ts'
import { mails, mailsTo } from '../support/mails.ts'
import { movingClock } from '../support/moving-clock.ts'
import { overProcesses } from '../support/processes.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'
import { sliced } from '../support/whole.ts'
import { areEven, requestsOfEach, timesApart } from './timing.ts'

// Check 42: neither answers nor times of the calls with codes and links reveal whether an address has an account.

const KINDS = ['verified', 'unverified', 'disabled', 'unknown'] as const
type Kind = (typeof KINDS)[number]

/** Mails that an address gets in a quarter of an hour, and tries of a code. */
const [MAILS, TRIES] = [3, 5]
const SIZE = { blocks: 42, ofEach: 8 }
const REQUESTS_OF_EACH = requestsOfEach(SIZE)
const CHALLENGES = Math.ceil(REQUESTS_OF_EACH / TRIES)
const PEOPLE = Math.ceil(REQUESTS_OF_EACH / MAILS) + CHALLENGES
const emailOf = (kind: Kind, person: number) => `${kind}.${person}@example.org`

/** Imports users of each kind. */
async function importPeople(users: Client, auth: Client): Promise<void> {
  const password_hash = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 4 })
  const lines = KINDS.filter((kind) => kind !== 'unknown').flatMap((kind) =>
    Array.from({ length: PEOPLE }, (_, person) => ({
      email: emailOf(kind, person),
      status: kind === 'disabled' ? 'disabled' : 'active',
      email_verified: kind === 'verified',
      password_hash,
    })),
  )
  expect((await users('POST /users/import', jsonLines(lines))).status).toBe(200)
  await auth('POST /admin/password-cache/sync', { headers: as.operator })
}

/** The bytes of an answer, without what differs in each. */
function bytesOf({ body, headers, status, text }: Answer): string {
  headers.delete('date')
  const id = typeof body.challenge_id === 'string' ? body.challenge_id : ''
  return JSON.stringify([status, id === '' ? text : text.replace(id, 'x'.repeat(id.length)), ...headers])
}

describe('the existence of an account, over four processes', () => {
  // Rate limits are on: their counters must not reveal anything either.
  const here = running(overProcesses('apart'), { TRUSTED_PROXIES: '127.0.0.1', EMAIL_LOGIN: 'on' })
  const { auth } = here
  let bearer = {}
  let client = 0
  /** A request from an address of its own. */
  const post = (path: string, body: object, headers = {}) =>
    auth(`POST /auth/${path}`, {
      body,
      headers: {
        'x-forwarded-for': `10.${client >> 16}.${(client >> 8) & 255}.${client++ & 255}`,
        'x-request-id': 'the-same',
        ...headers,
      },
    })

  beforeAll(async () => {
    await importPeople(here.users, auth)
    const { tokens } = await createUser(here.system, { email_verified: true })
    bearer = as.bearer(tokens.access_token)
  })

  const REQUESTS: [path: string, field: string, headers: () => object][] = [
    ['email-verification-request', 'email', () => ({})],
    ['email-code-request', 'email', () => ({})],
    ['password-reset-request', 'email', () => ({})],
    ['email-change-request', 'new_email', () => bearer],
  ]

  test.each(sliced(REQUESTS, 2))(
    'check 42: is not revealed by POST /auth/%s: the same bytes in the same time',
    async (path, field, headers) => {
      const answers = new Set<string>()
      const apart = await timesApart({
        kinds: KINDS,
        ...SIZE,
        ask: async (kind, n) =>
          answers.add(bytesOf(await post(path, { [field]: emailOf(kind, Math.floor(n / MAILS)) }, headers()))),
      })
      expect([...answers]).toHaveLength(1)
      expect([...answers][0]).toStartWith('[202,')
      expect(areEven(apart) || apart).toBe(true)
    },
    600_000,
  )

  /** Sends a wrong code to challenges of each kind, a few times to each. */
  const expectSameRefusals = async <K extends string>(
    challenges: Record<K, { id: string; headers: object }[]>,
    path: string,
  ) => {
    const answers = new Set<string>()
    const apart = await timesApart({
      kinds: Object.keys(challenges) as K[],
      ...SIZE,
      ask: async (kind, n) => {
        const { headers = {}, id } = challenges[kind][Math.floor(n / TRIES)] ?? {}
        answers.add(bytesOf(await post(path, { challenge_id: id, code: 'none' }, headers)))
      },
    })
    expect([...answers]).toHaveLength(1)
    expect([...answers][0]).toContain('invalid_code')
    expect(areEven(apart) || apart).toBe(true)
  }
  const mailCount = () => mails(here.system).length

  const CONFIRMATIONS: [confirm: string, request: string, mailed: Kind[]][] = [
    ['email-code-login', 'email-code-request', ['verified', 'unverified']],
    ['email-verification-confirm', 'email-verification-request', ['unverified']],
  ]
  test.each(sliced(CONFIRMATIONS, 2))(
    'check 42: is not revealed by a wrong code at POST /auth/%s: the same bytes in the same time',
    async (confirm, request, mailed) => {
      const before = mailCount()
      const challenges = { verified: [], unverified: [], disabled: [], unknown: [] } as Record<
        Kind,
        { id: string; headers: object }[]
      >
      for (let n = 0; n < CHALLENGES; n++)
        for (const kind of KINDS) {
          const { body } = await post(request, { email: emailOf(kind, PEOPLE - 1 - n) })
          challenges[kind].push({ id: body.challenge_id, headers: {} })
        }
      // Every mail to a known address has been written: its challenge has a code.
      await eventually(() => mailCount() >= before + mailed.length * CHALLENGES)
      await expectSameRefusals(challenges, confirm)
    },
    600_000,
  )

  test('check 42: is not revealed by a wrong code at POST /auth/email-change-confirm: the same bytes in the same time', async () => {
    const before = mailCount()
    const challenges = { taken: [], free: [] } as Record<'taken' | 'free', { id: string; headers: object }[]>
    // A later request voids the code of an earlier one: each is by a user of their own.
    for (let n = 0; n < CHALLENGES; n++)
      for (const kind of ['taken', 'free'] as const) {
        const login = await logIn(here.system, emailOf('verified', kind === 'taken' ? n : CHALLENGES + n))
        const headers = as.bearer(login.body.access_token)
        const new_email = kind === 'taken' ? emailOf('unverified', PEOPLE - 1 - n) : newEmail()
        const { body } = await post('email-change-request', { new_email }, headers)
        challenges[kind].push({ id: body.challenge_id, headers })
      }
    await eventually(() => mailCount() >= before + CHALLENGES)
    await expectSameRefusals(challenges, 'email-change-confirm')
  }, 600_000)
})

describe('codes of known and unknown addresses', () => {
  const clock = movingClock()
  const here = running(() => inProcess({ EMAIL_LOGIN: 'on', RATE_LIMIT: 'off' }, { clock }))
  const post = (path: string, body: object, headers = {}) => here.auth(`POST /auth/${path}`, { body, headers })
  const endOf = ({ body, status }: Answer) => `${status} ${body.code}`

  test('check 42: end at the same time, also when the mail was sent later than its request', async () => {
    for (const wait of [0, 3 * MINUTE]) {
      const { email } = await createUser(here.system, { email_verified: true })
      const ids: string[] = []
      for (const address of [email, newEmail()])
        ids.push((await post('email-code-request', { email: address })).body.challenge_id)
      // The mail is written after the answer.
      clock.pass(wait)
      await nextMail(here.system, email)
      const ends = async () =>
        (await Promise.all(ids.map((challenge_id) => post('email-code-login', { challenge_id, code: 'none' })))).map(
          endOf,
        )
      clock.pass(10 * MINUTE - 30 * SECOND - wait)
      expect(await ends()).toEqual(['401 invalid_code', '401 invalid_code'])
      clock.pass(31 * SECOND)
      expect(await ends()).toEqual(['400 invalid_challenge', '400 invalid_challenge'])
    }
  })

  test('check 42: a second change of the email ends the first, whether its address is free or taken', async () => {
    const ben = await createUser(here.system, { email_verified: true })
    for (const second of [newEmail(), ben.email]) {
      const ana = await createUser(here.system, { email_verified: true })
      const headers = as.bearer(ana.tokens.access_token)
      const first = await requested(here.system, 'email-change-request', { new_email: newEmail() }, headers)
      const { body } = await post('email-change-request', { new_email: second }, headers)
      const ends: string[] = []
      for (const challenge_id of [first.challenge_id, body.challenge_id])
        ends.push(endOf(await post('email-change-confirm', { challenge_id, code: 'none' }, headers)))
      expect(ends).toEqual(['400 invalid_challenge', '401 invalid_code'])
    }
  })
})

describe('someone who asks for all the mails that an address may get', () => {
  const here = running(inProcess, { EMAIL_LOGIN: 'on', TRUSTED_PROXIES: '127.0.0.1' })

  test('check 42: does not keep its owner from a reset, nor from a code after a right password', async () => {
    const { email } = await createUser(here.system, { email_verified: true })
    const { tokens } = await createUser(here.system)
    const attacks: [path: string, body: object, headers?: object][] = [
      ['email-verification-request', { email }],
      ['email-code-request', { email }],
      ['email-change-request', { new_email: email }, as.bearer(tokens.access_token)],
      ['login', { login: email, password: 'not the right one' }],
    ]
    for (const [path, body, headers] of attacks)
      for (let n = 0; n < 12; n++) {
        const from = { 'x-forwarded-for': '192.0.2.9', ...headers }
        const { status } = await here.auth(`POST /auth/${path}`, { headers: from, body })
        if (n === 11) expect([path, status]).toEqual([path, 429])
      }
    const before = mailsTo(here.system, email).length
    const body = { email }
    const answer = await here.auth('POST /auth/password-reset-request', { body })
    expect(answer.status).toBe(202)
    const { token } = await nextMail(here.system, email, before)
    const reset = { token, new_password: 'a wholly new password' }
    expect((await here.auth('POST /auth/password-reset-confirm', { body: reset })).status).toBe(204)
    expect((await logIn(here.system, email, reset.new_password)).status).toBe(200)
  })
})
