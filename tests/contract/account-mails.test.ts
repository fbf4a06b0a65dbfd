import { beforeAll, describe, expect, test } from 'bun:test'
import { createUser, newEmail, PASSWORD, registerUser, type TestUser } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { databaseRows } from '../support/postgres/database-rows.ts'
import { running } from '../support/running.ts'
import { inProcessApart } from '../support/system.ts'

// Which mails users asks auth for. Auth is down meanwhile, so that each notice stays in the outbox.

const NEW = 'a wholly new password'
const IP = '127.0.0.1'
const AGENT = 'the browser of the tests'
const RUSSIAN = { 'accept-language': 'ru, en;q=0.5', 'user-agent': AGENT }

type Here = ReturnType<typeof running>

/** The notices in the outbox that make auth mail someone, since a request with this id. */
async function mailNotices(here: Here, requestId: string) {
  const rows = await databaseRows<{ kind: string; payload: string }>(
    here.system,
    'users',
    `SELECT kind, payload FROM outbox WHERE kind IN ('account_mail', 'email_changed') ORDER BY seq`,
  )
  return rows
    .map(({ kind, payload }) => ({ notice: kind, ...JSON.parse(payload) }))
    .filter((notice) => notice.requestId === requestId)
}

/** A client of users that names each request, and gives the notices that it left behind. */
function asking(here: Here) {
  return async (line: string, headers: Record<string, string>, body?: unknown, status = 0) => {
    const requestId = `mails-${Bun.randomUUIDv7()}`
    const sent = { headers: { ...RUSSIAN, ...headers, 'x-request-id': requestId }, body }
    const answer = await call(here.system.url.users, line, sent)
    expect(status === 0 ? answer.status < 300 : answer.status === status).toBe(true)
    return { body: answer.body, notices: await mailNotices(here, requestId), requestId }
  }
}

const bearer = ({ tokens }: TestUser) => as.bearer(tokens.access_token)

describe('Contract 11 and 12: users asks auth for a mail', () => {
  // With a limit, users would ask auth about the second factors of whoever changes their email.
  const here = running(inProcessApart, { REAUTH_MAX_AGE: 'off' })
  const ask = asking(here)
  const people: Record<'ana' | 'ben' | 'cleo' | 'dan' | 'eva' | 'admin', TestUser> = {} as never
  beforeAll(async () => {
    const verified = { email_verified: true }
    people.ana = await createUser(here.system, verified)
    people.ben = await registerUser(here.system)
    people.cleo = await createUser(here.system, { ...verified, locale: 'en' })
    people.dan = await createUser(here.system, verified)
    people.eva = await createUser(here.system, verified)
    people.admin = await createUser(here.system, { ...verified, roles: ['ADMIN'] })
    await here.system.kill('auth')
  })

  describe('about a password', () => {
    const common = { notice: 'account_mail', kind: 'notice', cause: 'password_changed', ip: IP, userAgent: AGENT }
    const passwords = { current_password: PASSWORD, new_password: NEW }

    test('that its owner changed, in their language', async () => {
      const { ana, cleo } = people
      for (const [user, locale] of [
        [ana, 'ru'],
        [cleo, 'en'],
      ] as const) {
        const { notices, requestId } = await ask(`POST /users/${user.id}/change-password`, bearer(user), passwords)
        expect(notices).toEqual([
          {
            ...common,
            id: expect.any(String),
            at: expect.any(Number),
            userId: user.id,
            email: user.email,
            locale,
            requestId,
          },
        ])
      }
    })

    test('that an operator set, whose language says nothing about the user', async () => {
      const { ben, cleo } = people
      const set = { new_password: NEW }
      for (const [user, locale] of [
        [ben, null],
        [cleo, 'en'],
      ] as const) {
        const { notices } = await ask(`POST /users/${user.id}/set-password`, as.operator, set)
        expect(notices).toMatchObject([{ ...common, userId: user.id, email: user.email, locale }])
      }
    })

    test('never for a call of auth, an import, or a change that was refused', async () => {
      const { ben } = people
      const line = JSON.stringify({ email: ben.email, password: PASSWORD })
      const asLines = { ...as.operator, 'content-type': 'application/x-ndjson' }
      const lines = await ask('POST /users/import?on_conflict=update', asLines, line)
      expect(lines.body).toMatchObject({ status: 'updated' })
      const proof = { kind: 'reset', email: ben.email, new_password: NEW }
      const calls = [
        lines,
        await ask(`POST /users/${ben.id}/password`, as.internal, { new_password: NEW }),
        await ask(`POST /users/${ben.id}/proof`, as.internal, proof),
        await ask(`POST /users/${ben.id}/proof`, as.internal, { ...proof, kind: 'invitation' }),
        await ask(`POST /users/${ben.id}/set-password`, as.operator, { new_password: 'short' }, 400),
      ]
      for (const { notices } of calls) expect(notices).toEqual([])
    })
  })

  describe('to verify the address', () => {
    const PATHS = ['POST /users', 'POST /api/v1/users', 'POST /user/register', 'POST /user']

    test.each(PATHS)('of someone who registered by %s', async (path) => {
      const email = newEmail()
      const { body, notices, requestId } = await ask(path, {}, { email, password: PASSWORD })
      expect(notices).toEqual([
        {
          notice: 'account_mail',
          kind: 'email_verification',
          id: expect.any(String),
          at: expect.any(Number),
          userId: body.id,
          email,
          locale: 'ru',
          ip: IP,
          userAgent: AGENT,
          requestId,
        },
      ])
    })

    test('in the language that they chose', async () => {
      const { notices } = await ask('POST /users', {}, { email: newEmail(), password: PASSWORD, locale: 'en' })
      expect(notices).toMatchObject([{ locale: 'en' }])
    })

    test('never of a user whom an operator or auth created', async () => {
      const { admin } = people
      for (const headers of [as.operator, as.internal, bearer(admin)])
        for (const path of PATHS) {
          const { notices } = await ask(path, headers, { email: newEmail(), password: PASSWORD })
          expect(notices).toEqual([])
        }
      const asLines = { ...as.operator, 'content-type': 'application/x-ndjson' }
      const line = JSON.stringify({ email: newEmail(), password: PASSWORD })
      expect((await ask('POST /users/import', asLines, line)).notices).toEqual([])
      expect((await ask('POST /users/invited', as.internal, { email: newEmail() })).notices).toEqual([])
    })
  })

  describe('about another email', () => {
    const common = { notice: 'email_changed', id: expect.any(String), at: expect.any(Number) }

    test('that its owner set, and whether the old one was verified', async () => {
      const { dan } = people
      const [first, second] = [newEmail(), newEmail()]
      const path = `PATCH /users/${dan.id}`
      const { notices, requestId } = await ask(path, bearer(dan), { email: first })
      const expected = { ...common, requestId, userId: dan.id, ip: IP, locale: 'ru', byProof: false }
      expect(notices).toEqual([{ ...expected, oldEmail: dan.email, newEmail: first, verified: true }])
      const later = await ask(path, bearer(dan), { email: second, locale: 'en' })
      expect(later.notices).toMatchObject([{ oldEmail: first, newEmail: second, verified: false, locale: 'ru' }])
      expect((await ask(path, bearer(dan), { email: second.toUpperCase() })).notices).toEqual([])
    })

    test('that an operator set, or a mail proved; an undone change is not told to the address it took away', async () => {
      const { eva } = people
      const [first, second] = [newEmail(), newEmail()]
      const set = await ask(`PUT /users/${eva.id}`, as.operator, { email: first, email_verified: true })
      expect(set.notices).toMatchObject([
        { ...common, oldEmail: eva.email, verified: true, byProof: false, locale: null },
      ])
      const by = { actor: `user:${eva.id}`, ip: '203.0.113.9' }
      const proved = await ask(`POST /users/${eva.id}/proof`, as.internal, { kind: 'email_change', email: second, by })
      expect(proved.notices).toMatchObject([
        { ...common, oldEmail: first, newEmail: second, verified: true, byProof: true, ip: by.ip },
      ])
      const undone = await ask(`POST /users/${eva.id}/proof`, as.internal, { kind: 'undo', email: eva.email, by })
      expect(undone.notices).toEqual([])
    })
  })
})

describe('EMAIL_VERIFICATION=off', () => {
  const here = running(inProcessApart, { EMAIL_VERIFICATION: 'off' })
  const ask = asking(here)

  test('a registration sends no mail', async () => {
    await here.system.kill('auth')
    expect((await ask('POST /users', {}, { email: newEmail(), password: PASSWORD })).notices).toEqual([])
  })
})
