import { describe, expect, test } from 'bun:test'
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import { createUser, logIn, newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { all, askEach } from '../support/each-service.ts'
import { eventually } from '../support/eventually.ts'
import { expectFields, expectProblem, FIELDS, TIME, UUID } from '../support/expectations.ts'
import { type Answer, as, call, form } from '../support/http.ts'
import { mailedToken } from '../support/mails.ts'
import { running } from '../support/running.ts'
import { inProcessApart } from '../support/system.ts'

type Event = Record<string, unknown> & { type: string; detail: Record<string, unknown> }

describe('keys and audit', () => {
  const here = running(inProcessApart)
  const { auth, users } = here
  const operator = { headers: as.operator }

  describe('signing keys', () => {
    const keys = async (): Promise<{ kid: string; status: string }[]> =>
      (await auth('GET /admin/keys', operator)).body.items
    const rotate = async (query = '?now=true') => (await auth(`POST /admin/keys/rotate${query}`, operator)).body
    const remove = (kid: string) => auth(`DELETE /admin/keys/${kid}`, operator)
    const kidOf = (token: string) => String(decodeProtectedHeader(token).kid)
    const published = async () =>
      (await call(here.system.url.auth, 'GET /.well-known/jwks.json')).body.keys.map(({ kid }: { kid: string }) => kid)

    test('R6: a rotation publishes a key that does not sign yet; another rotation returns the same key', async () => {
      const user = await registerUser(here.system)
      const old = kidOf(user.tokens.access_token)
      const before = Date.now()
      const answer = await auth('POST /admin/keys/rotate', operator)
      expect(answer.status).toBe(201)
      expectFields(answer.body, FIELDS.key)
      expect(answer.body).toMatchObject({ alg: 'EdDSA', status: 'pending', created_at: expect.stringMatching(TIME) })
      const signsAt = answer.headers.get('x-ch202-signs-at') ?? ''
      expect(signsAt).toMatch(TIME)
      expect(Date.parse(signsAt)).toBeWithin(before + 119_000, Date.now() + 121_000)

      const { kid } = answer.body
      const listed = await keys()
      for (const key of listed) expectFields(key, FIELDS.key)
      expect(listed[0]).toEqual(answer.body)
      expect(listed.find(({ status }) => status === 'active')?.kid).toBe(old)
      expect((await published()).sort()).toEqual(listed.map((key) => key.kid).sort())
      for (const query of ['', '?now=false', '?alg=EdDSA']) {
        const again = await auth(`POST /admin/keys/rotate${query}`, operator)
        expect([again.status, again.body, again.headers.get('x-ch202-signs-at')]).toEqual([201, answer.body, signsAt])
      }
      const fresh = (await logIn(here.system, user.email)).body
      expect(kidOf(fresh.access_token)).toBe(old)

      // A removed key never signs, and cannot be removed again.
      expect((await remove(kid)).status).toBe(204)
      expectProblem(await remove(kid), 404, 'not_found')
      expect((await keys()).map(({ status }) => status)).not.toContain('pending')
      expect(await published()).not.toContain(kid)
      for (const { access_token } of [user.tokens, fresh])
        expect(await askEach(here.system, access_token)).toEqual(all(200))
    })

    test.each([
      '?alg=RS256',
      '?alg=ES256',
      '?alg=none',
      '?alg=',
      '?now=',
      '?now=yes',
      '?now=1',
      '?at=now',
      '?now=true&lead=0s',
    ])('R6: a rotation with the invalid query %s is refused', async (query) => {
      const before = await keys()
      expectProblem(await auth(`POST /admin/keys/rotate${query}`, operator), 400, 'validation_failed')
      expect(await keys()).toEqual(before)
    })

    test('R6: a rotation at once makes the pending key sign, or a new one if no key is pending', async () => {
      const user = await registerUser(here.system)
      const { kid } = await rotate('')
      for (const expected of [kid, undefined]) {
        const answer = await auth('POST /admin/keys/rotate?now=true', operator)
        expect([answer.status, answer.body.status, answer.headers.get('x-ch202-signs-at')]).toEqual([
          201,
          'active',
          null,
        ])
        if (expected) expect(answer.body.kid).toBe(expected)
        else expect(answer.body.kid).not.toBe(kid)
        expect((await keys()).map(({ status }) => status)).not.toContain('pending')
        const { access_token } = (await logIn(here.system, user.email)).body
        expect(kidOf(access_token)).toBe(answer.body.kid)
        expect(await askEach(here.system, access_token)).toEqual(all(200))
      }
    })

    test('R6: when the signing key is removed, the pending key signs at once', async () => {
      const user = await registerUser(here.system)
      const { kid } = await rotate('')
      expect((await remove(kidOf(user.tokens.access_token))).status).toBe(204)
      expect(await askEach(here.system, user.tokens.access_token)).toEqual(all('invalid_token'))
      const { access_token } = (await logIn(here.system, user.email)).body
      expect(kidOf(access_token)).toBe(kid)
      expect(await askEach(here.system, access_token)).toEqual(all(200))
      expect((await keys()).map(({ status }) => status)).not.toContain('pending')
    })

    test('R6: the JWKS may be cached for half a minute, less than a new key is published before it signs', async () => {
      const { headers } = await call(here.system.url.auth, 'GET /.well-known/jwks.json')
      expect(headers.get('cache-control')).toBe('public, max-age=30')
    })

    test('check 39: after a rotation at once the new key signs, and tokens of the old one stay valid', async () => {
      const user = await registerUser(here.system)
      const old = kidOf(user.tokens.access_token)
      const answer = await auth('POST /admin/keys/rotate?now=true', operator)
      expect(answer.status).toBe(201)
      expectFields(answer.body, FIELDS.key)
      expect(answer.body).toMatchObject({ alg: 'EdDSA', status: 'active', created_at: expect.stringMatching(TIME) })

      const listed = await keys()
      for (const key of listed) expectFields(key, FIELDS.key)
      expect(listed.filter(({ status }) => status === 'active').map(({ kid }) => kid)).toEqual([answer.body.kid])
      expect(listed.find(({ kid }) => kid === old)?.status).toBe('retiring')
      expect((await published()).sort()).toEqual(listed.map(({ kid }) => kid).sort())

      const fresh = (await logIn(here.system, user.email)).body
      expect(kidOf(fresh.access_token)).toBe(answer.body.kid)
      const ring = createRemoteJWKSet(new URL(`${here.system.url.auth}/.well-known/jwks.json`))
      for (const token of [user.tokens.access_token, fresh.access_token]) {
        expect(await askEach(here.system, token)).toEqual(all(200))
        expect((await jwtVerify(token, ring, { audience: 'ch202' })).payload.sub).toBe(user.id)
      }
    })

    /**
     * Runs clients that log in, refresh and call each service.
     * @returns `turn`, which waits until each client has logged in again, and `stop`, which gives the refused requests
     */
    const startLoad = (email: string) => {
      let isOver = false
      const logins = [0, 0, 0, 0]
      const client = async (_: number, number: number) => {
        const refused: unknown[] = []
        const ask = async (what: string, request: Promise<Answer>) => {
          const { body, status } = await request
          if (status !== 200) refused.push([what, status, body.code])
          return body
        }
        while (!isOver) {
          let tokens = await ask('login', logIn(here.system, email))
          logins[number] = (logins[number] ?? 0) + 1
          for (let i = 0; i < 3; i++) {
            const body = { refresh_token: tokens.refresh_token }
            tokens = await ask('refresh', auth('POST /auth/refresh', { body }))
            const statuses = await askEach(here.system, tokens.access_token)
            if (Object.values(statuses).some((status) => status !== 200)) refused.push(statuses)
          }
        }
        return refused
      }
      const clients = Promise.all(logins.map(client))
      return {
        async turn() {
          const before = [...logins]
          await eventually(() => logins.every((count, at) => count > (before[at] ?? 0)))
        },
        async stop() {
          isOver = true
          return (await clients).flat()
        },
      }
    }

    test('check 39: a rotation under load: no request fails', async () => {
      const user = await registerUser(here.system)
      const load = startLoad(user.email)
      for (const query of ['', '?now=true', '?now=true', '']) {
        await load.turn()
        await rotate(query)
      }
      await load.turn()
      expect(await load.stop()).toEqual([])
    })

    test('check 39: when the signing key is removed under load, logins and refreshes work, and only its tokens are refused', async () => {
      const user = await registerUser(here.system)
      const old = kidOf(user.tokens.access_token)
      const load = startLoad(user.email)
      await load.turn()
      expect((await remove(old)).status).toBe(204)
      expect(await askEach(here.system, user.tokens.access_token)).toEqual(all('invalid_token'))
      await load.turn()
      // Only calls with a token from before the removal fail: no login, and no refresh.
      for (const one of await load.stop()) expect(Object.values(one as object)).toContain('invalid_token')
      expect(await askEach(here.system, (await logIn(here.system, user.email)).body.access_token)).toEqual(all(200))
    })

    test('check 39: the tokens of a removed key are refused at once, and its sessions stay', async () => {
      const user = await registerUser(here.system)
      const old = kidOf(user.tokens.access_token)
      await rotate()
      const fresh = (await logIn(here.system, user.email)).body
      expect((await remove(old)).status).toBe(204)
      expect(await askEach(here.system, user.tokens.access_token)).toEqual(all('invalid_token'))
      expect(await askEach(here.system, fresh.access_token)).toEqual(all(200))
      expect(await published()).not.toContain(old)
      expectProblem(await remove(old), 404, 'not_found')
      const next = await auth('POST /auth/refresh', { body: { refresh_token: user.tokens.refresh_token } })
      expect(await askEach(here.system, next.body.access_token)).toEqual(all(200))
      const { access_token } = user.tokens
      expect((await auth('POST /auth/introspect', form({ token: access_token }, as.internal))).body).toEqual({
        active: false,
      })
    })

    test('check 39: the signing key can be removed, and another replaces it', async () => {
      const user = await registerUser(here.system)
      const old = kidOf(user.tokens.access_token)
      expect((await keys()).find(({ kid }) => kid === old)?.status).toBe('active')
      expect((await remove(old)).status).toBe(204)
      expect(await askEach(here.system, user.tokens.access_token)).toEqual(all('invalid_token'))
      const fresh = (await logIn(here.system, user.email)).body
      expect(await askEach(here.system, fresh.access_token)).toEqual(all(200))
      expect(kidOf(fresh.access_token)).not.toBe(old)
    })

    test('check 39: the key ring survives a crash, and so does a removal', async () => {
      const user = await registerUser(here.system)
      const [before] = [await keys(), await rotate()]
      const second = (await logIn(here.system, user.email)).body
      await remove(kidOf(user.tokens.access_token))
      const listed = await keys()
      expect(listed.length).toBe(before.length)
      await here.system.kill('auth')
      await here.system.start('auth')
      expect(await keys()).toEqual(listed)
      expect(await askEach(here.system, second.access_token)).toEqual(all(200))
      expect(await askEach(here.system, user.tokens.access_token)).toEqual(all('invalid_token'))
    })

    test('no answer contains a private key', async () => {
      const answers = [
        await auth('GET /admin/keys', operator),
        await auth('POST /admin/keys/rotate', operator),
        await auth('GET /.well-known/jwks.json'),
      ]
      for (const { text } of answers) expect(text).not.toMatch(/"d"|private|sealed|BEGIN/)
    })

    test.each(['GET /admin/keys', 'POST /admin/keys/rotate', 'DELETE /admin/keys/x', 'GET /admin/audit'])(
      '%s is for operators only',
      async (request) => {
        const user = await registerUser(here.system)
        const admin = await createUser(here.system, { roles: ['ADMIN'] })
        expectProblem(await auth(request), 401, 'missing_token')
        expectProblem(await auth(request, { headers: as.bearer(user.tokens.access_token) }), 403, 'forbidden')
        expectProblem(await auth(request, { headers: as.internal }), 403, 'forbidden')
        expectProblem(await auth(request, { headers: { 'x-api-key': 'x' } }), 401, 'invalid_api_key')
        expect([200, 201, 404]).toContain(
          (await auth(request, { headers: as.bearer(admin.tokens.access_token) })).status,
        )
      },
    )

    test('an unknown kid is 404', async () => {
      for (const kid of ['x', '..%2F..', 'A'.repeat(43)]) expectProblem(await remove(kid), 404, 'not_found')
    })
  })

  describe('the audit', () => {
    const events = async (query: string): Promise<Event[]> =>
      (await auth(`GET /admin/audit?size=200${query}`, operator)).body.items
    /** A header by which a test finds the events of its request. */
    const marked = () => ({ 'x-request-id': crypto.randomUUID() })

    test('has the action, the actor, the address and the request of an event', async () => {
      const user = await registerUser(here.system)
      const mark = marked()
      const headers = { ...as.bearer(user.tokens.access_token), ...mark }
      await auth('POST /auth/logout', { headers })
      const answer = await auth(`GET /admin/audit?request_id=${mark['x-request-id']}`, operator)
      expectFields(answer.body, FIELDS.page)
      expect(answer.body.total).toBe(1)
      const [event] = answer.body.items
      expectFields(event, FIELDS.event)
      expect(event).toMatchObject({
        type: 'session.logout',
        user_id: user.id,
        actor: `user:${user.id}`,
        ip: '127.0.0.1',
        request_id: mark['x-request-id'],
      })
      expect(event.detail).toMatchObject({ session_id: user.tokens.session_id })
      expect(event.id).toMatch(UUID)
      expect(event.at).toMatch(TIME)
    })

    const deeds: [string, (mark: Record<string, string>) => Promise<unknown>][] = [
      [
        'session.created',
        async (headers) => {
          const body = { login: (await registerUser(here.system)).email, password: PASSWORD }
          return auth('POST /auth/login', { body, headers })
        },
      ],
      [
        'login.failed',
        async (headers) => {
          const body = { login: (await registerUser(here.system)).email, password: 'wrong' }
          return auth('POST /auth/login', { body, headers })
        },
      ],
      [
        'login.failed',
        (headers) => auth('POST /auth/login', { body: { login: newEmail(), password: 'wrong' }, headers }),
      ],
      [
        'login.paused',
        async (headers) => {
          const body = { login: newEmail(), password: 'wrong' }
          for (let i = 0; i < 9; i++) await auth('POST /auth/login', { body })
          return auth('POST /auth/login', { body, headers })
        },
      ],
      [
        'session.logout_all',
        async (mark) => {
          const { tokens } = await registerUser(here.system)
          return auth('POST /auth/logout-all', { headers: { ...as.bearer(tokens.access_token), ...mark } })
        },
      ],
      [
        'session.revoked',
        async (mark) => {
          const { tokens } = await registerUser(here.system)
          return auth(`DELETE /auth/sessions/${tokens.session_id}`, { headers: { ...as.operator, ...mark } })
        },
      ],
      [
        'session.token_revoked',
        async (mark) => {
          const { tokens } = await registerUser(here.system)
          return auth('POST /auth/revoke', form({ token: tokens.refresh_token }, mark))
        },
      ],
      [
        'session.reuse_detected',
        async (headers) => {
          const { tokens } = await registerUser(here.system)
          const refresh = (refresh_token: string) => auth('POST /auth/refresh', { body: { refresh_token }, headers })
          await refresh((await refresh(tokens.refresh_token)).body.refresh_token)
          return refresh(tokens.refresh_token)
        },
      ],
      [
        'password.reset_requested',
        async (headers) => {
          const { email } = await registerUser(here.system)
          return auth('POST /auth/password-reset-request', { body: { email }, headers })
        },
      ],
      [
        'cache.dropped',
        async (mark) => {
          const { id } = await registerUser(here.system)
          return auth(`DELETE /admin/password-cache/${id}`, { headers: { ...as.operator, ...mark } })
        },
      ],
      ['cache.synced', (mark) => auth('POST /admin/password-cache/sync', { headers: { ...as.operator, ...mark } })],
      ['key.rotated', (mark) => auth('POST /admin/keys/rotate', { headers: { ...as.operator, ...mark } })],
      // A rotation while a key is pending.
      ['key.rotated', (mark) => auth('POST /admin/keys/rotate', { headers: { ...as.operator, ...mark } })],
      ['key.rotated', (mark) => auth('POST /admin/keys/rotate?now=true', { headers: { ...as.operator, ...mark } })],
      ['key.rotated', (mark) => auth('POST /admin/keys/rotate?now=true', { headers: { ...as.operator, ...mark } })],
      [
        'key.removed',
        async (mark) => {
          const { body } = await auth('POST /admin/keys/rotate?now=true', operator)
          await auth('POST /admin/keys/rotate?now=true', operator)
          return auth(`DELETE /admin/keys/${body.kid}`, { headers: { ...as.operator, ...mark } })
        },
      ],
      [
        'user.created',
        (headers) => auth('POST /auth/register', { body: { email: newEmail(), password: PASSWORD }, headers }),
      ],
      [
        'user.roles_changed',
        async (mark) => {
          const { id } = await registerUser(here.system)
          return users(`PATCH /users/${id}`, { headers: { ...as.operator, ...mark }, body: { roles: ['EDITOR'] } })
        },
      ],
      [
        'user.disabled',
        async (mark) => {
          const { id } = await registerUser(here.system)
          return users(`PATCH /users/${id}`, { headers: { ...as.operator, ...mark }, body: { status: 'disabled' } })
        },
      ],
      [
        'user.deleted',
        async (mark) => {
          const { id } = await registerUser(here.system)
          return users(`DELETE /users/${id}`, { headers: { ...as.operator, ...mark } })
        },
      ],
      [
        'password.set',
        async (mark) => {
          const { id } = await registerUser(here.system)
          const body = { new_password: 'quite another one' }
          return users(`POST /users/${id}/set-password`, { headers: { ...as.operator, ...mark }, body })
        },
      ],
      [
        'password.reset',
        async (headers) => {
          const token = await mailedToken(auth, here.system, (await registerUser(here.system)).email)
          const body = { token, new_password: 'quite another one' }
          return auth('POST /auth/password-reset-confirm', { body, headers })
        },
      ],
    ]
    test.each(deeds)('check 40: records %s, once', async (type, act) => {
      const mark = marked()
      await act(mark)
      const query = `&type=${type}&request_id=${mark['x-request-id']}`
      const entries = await eventually(async () => {
        const rows = await events(query)
        return rows.length > 0 ? rows : undefined
      })
      expect(entries.map((event) => event.type)).toEqual([type])
    })

    test('is filtered by user, by type and by time', async () => {
      const user = await registerUser(here.system)
      await logIn(here.system, user.email, 'wrong')
      await registerUser(here.system)
      const userEvents = await events(`&user_id=${user.id.toUpperCase()}`)
      expect(userEvents.length).toBeGreaterThanOrEqual(2)
      for (const event of userEvents) expect(event.user_id).toBe(user.id)
      const failed = await events(`&user_id=${user.id}&type=login.failed`)
      expect(failed.map(({ type, detail }) => [type, detail])).toEqual([['login.failed', { reason: 'wrong_password' }]])
      const at = String(failed[0]?.at)
      const later = await events(`&since=${at}`)
      expect(later.length).toBeGreaterThan(0)
      for (const event of later) expect(String(event.at) >= at).toBe(true)
      expect(await events(`&since=${new Date(Date.now() + 60_000).toISOString()}`)).toEqual([])
      for (const query of ['?user_id=x', '?since=yesterday', '?size=0', '?cursor=x', '?nothing=1', '?type='])
        expectProblem(await auth(`GET /admin/audit${query}`, operator), 400, 'validation_failed')
    })

    test('is listed by cursor, each event once, newest first, while others are added', async () => {
      const user = await registerUser(here.system)
      for (let i = 0; i < 6; i++) await logIn(here.system, user.email)
      const query = `user_id=${user.id}&type=session.created&size=2`
      const expected = (await events(`&user_id=${user.id}&type=session.created`)).map(({ id }) => id)
      expect(expected).toHaveLength(7)
      const seen: unknown[] = []
      let answer: Answer = await auth(`GET /admin/audit?${query}`, operator)
      expect(answer.body).toMatchObject({ total: 7, page: 1, pages: 4 })
      for (;;) {
        seen.push(...answer.body.items.map(({ id }: { id: string }) => id))
        if (answer.body.next_cursor === null) break
        await logIn(here.system, user.email)
        answer = await auth(`GET /admin/audit?${query}&cursor=${answer.body.next_cursor}`, operator)
        expect(answer.body.total).toBeNull()
      }
      expect(seen).toEqual(expected)
    })

    test('check 38: has no password, token, hash or key, nor has the log, wherever a client put one', async () => {
      const canary = 'canary of this test'
      const email = newEmail()
      const { body: user } = await auth('POST /auth/register', { body: { email, password: canary } })
      const login = (await logIn(here.system, email, canary)).body
      const next = (await auth('POST /auth/refresh', { body: { refresh_token: login.refresh_token } })).body
      // A password that was typed into the field for the name.
      await auth('POST /auth/login', { body: { login: canary, password: canary } })
      await auth('POST /auth/login', { body: { email, password: `${canary}!` } })
      const reset = await mailedToken(auth, here.system, email)
      const set = 'second canary of it'
      await auth('POST /auth/password-reset-confirm', { body: { token: reset, new_password: set } })
      await auth('POST /auth/introspect', form({ token: next.access_token }, as.internal))
      await auth(`GET /auth/me?token=${next.access_token}`)
      const { password_hash } = (await users(`GET /users/${user.id}/password-hash`, { headers: as.internal })).body
      const { text } = await auth('GET /admin/audit?size=200', operator)
      const tokens = [user.tokens, login, next].flatMap(({ access_token, refresh_token }) => [
        access_token,
        refresh_token,
      ])
      const keys = [as.operator['x-api-key'], as.internal['x-api-key']]
      const secrets = [canary, set, reset, password_hash, '$2b$', ...tokens, ...keys]
      expect(text.includes(user.id)).toBe(true)
      expect(secrets.filter((secret) => text.includes(secret))).toEqual([])
      expect(secrets.filter((secret) => here.system.output().includes(secret))).toEqual([])
    })
  })
})
