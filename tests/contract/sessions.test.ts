import { describe, expect, test } from 'bun:test'
import { createUser, logIn, PASSWORD, registerUser, type TestUser } from '../support/actors.ts'
import { all, askEach } from '../support/each-service.ts'
import { expectFields, expectProblem, FIELDS, TIME } from '../support/expectations.ts'
import { type Answer, as, call, form } from '../support/http.ts'
import { mailedToken } from '../support/mails.ts'
import { storedBytes } from '../support/postgres/database-rows.ts'
import { running } from '../support/running.ts'
import { inProcess, type System } from '../support/system.ts'

type Tokens = TestUser['tokens']

describe('sessions', () => {
  describe('with the default settings', () => {
    const here = running(inProcess)
    const { auth, users } = here
    const refresh = (token: string, path = '/auth/refresh') => auth(`POST ${path}`, { body: { refresh_token: token } })
    const expectEnded = async (tokens: Tokens) => {
      expect(await askEach(here.system, tokens.access_token)).toEqual(all('token_revoked'))
      expectProblem(await refresh(tokens.refresh_token), 401, 'invalid_refresh_token')
    }
    const expectLive = async (tokens: Tokens) => {
      expect(await askEach(here.system, tokens.access_token)).toEqual(all(200))
    }
    const secondSession = async ({ email }: TestUser): Promise<Tokens> => (await logIn(here.system, email)).body

    const v0Session = async ({ email }: TestUser): Promise<Tokens> => {
      const body = { email, password: PASSWORD }
      const { accessToken, refreshToken } = (await call(here.system.url.auth, 'POST /auth/login', { body })).body
      return { access_token: accessToken, refresh_token: refreshToken.token } as Tokens
    }

    describe('refreshing', () => {
      test.each(['/auth/refresh', '/auth/token/refresh'])('%s gives new tokens of the same session', async (path) => {
        const { tokens } = await registerUser(here.system)
        const { body, headers, status } = await refresh(tokens.refresh_token, path)
        expect(status).toBe(200)
        expectFields(body, FIELDS.token)
        expect(headers.get('cache-control')).toBe('no-store')
        expect(body.session_id).toBe(tokens.session_id)
        expect(body.refresh_token).not.toBe(tokens.refresh_token)
        expect(body.access_token).not.toBe(tokens.access_token)
        await expectLive(body)
        await expectLive(tokens)
      })

      test('check 12: the most recently used token returns the same new one again, which then works', async () => {
        const { tokens } = await registerUser(here.system)
        const first = await refresh(tokens.refresh_token)
        for (let i = 0; i < 3; i++) {
          const again = await refresh(tokens.refresh_token)
          expect(again.status).toBe(200)
          expect(again.body.refresh_token).toBe(first.body.refresh_token)
          await expectLive(again.body)
        }
        expect((await refresh(first.body.refresh_token)).status).toBe(200)
      })

      test('an older token ends the session at every service', async () => {
        const { tokens } = await registerUser(here.system)
        const second = (await refresh(tokens.refresh_token)).body
        const third = (await refresh(second.refresh_token)).body
        expect((await refresh(second.refresh_token)).body.refresh_token).toBe(third.refresh_token)
        expectProblem(await refresh(tokens.refresh_token), 401, 'refresh_token_reused')
        for (const token of [tokens, second, third]) await expectEnded(token)
      })

      test('another session of the user stays', async () => {
        const user = await registerUser(here.system)
        const other = await secondSession(user)
        const second = (await refresh(user.tokens.refresh_token)).body
        await refresh(second.refresh_token)
        expectProblem(await refresh(user.tokens.refresh_token), 401, 'refresh_token_reused')
        await expectLive(other)
      })

      test('check 12: 50 concurrent requests get the same token', async () => {
        const user = await registerUser(here.system)
        let current = user.tokens.refresh_token
        for (let round = 0; round < 2; round++) {
          const answers = await Promise.all(Array.from({ length: 50 }, () => refresh(current)))
          expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(200))
          expect(new Set(answers.map(({ body }) => body.refresh_token)).size).toBe(1)
          current = answers[0]?.body.refresh_token
        }
        const listed = await auth('GET /auth/sessions', { headers: as.bearer(user.tokens.access_token) })
        expect(listed.body.total).toBe(1)
        expect((await refresh(current)).status).toBe(200)
      })

      test('is limited to 150 times in five minutes, and the 151st does not end the session', async () => {
        const { tokens } = await registerUser(here.system)
        let current = tokens
        for (let i = 0; i < 150; i++) current = (await refresh(current.refresh_token)).body
        expectProblem(await refresh(current.refresh_token), 429, 'rate_limited')
        await expectLive(current)
      })

      test('an invalid refresh token is refused', async () => {
        const { tokens } = await registerUser(here.system)
        const { tokens: other } = await registerUser(here.system)
        const token = tokens.refresh_token
        const middle = Math.floor(token.length / 2)
        const swapped = token.at(middle) === 'A' ? 'B' : 'A'
        const nextOf = (text: string) => {
          const prefix = text.slice(0, -72)
          const bytes = Buffer.from(text.slice(-72), 'base64url')
          bytes.writeUInt8(bytes.readUInt8(21) + 1, 21)
          return prefix + bytes.toString('base64url')
        }
        const forged = [
          'x',
          crypto.randomUUID(),
          tokens.access_token,
          token.slice(0, -1),
          `${token}A`,
          `${token}=`,
          token.slice(0, middle) + swapped + token.slice(middle + 1),
          token.slice(0, middle) + other.refresh_token.slice(middle),
          token.toUpperCase(),
          // The next token of the same session, computed without the secret.
          nextOf(token),
        ]
        for (const text of forged) {
          const answer = await refresh(text)
          expectProblem(answer, 401, 'invalid_refresh_token')
          if (text.length > 1) expect(answer.text).not.toContain(text)
        }
        expect((await refresh(token)).body.session_id).toBe(tokens.session_id)
      })

      test.each([[{}], [{ refresh_token: '' }], [{ refresh_token: 1 }], [{ refresh_token: 'x', more: 1 }]])(
        'the body %j is refused',
        async (body) => {
          expectProblem(await auth('POST /auth/refresh', { body }), 400, 'validation_failed')
        },
      )

      test('no file contains a token or a password', async () => {
        const { email, tokens } = await registerUser(here.system, { password: 'a quite singular canary' })
        const next = (await refresh(tokens.refresh_token)).body
        const secrets = [tokens, next].flatMap(({ access_token, refresh_token }) => [
          Buffer.from(refresh_token),
          // The last part of the token, which can't be guessed.
          Buffer.from(refresh_token.slice(-40), 'base64url'),
          Buffer.from(access_token.split('.').at(-1) ?? ''),
        ])
        secrets.push(Buffer.from('a quite singular canary'))
        const stored = await storedBytes(here.system)
        const contains = (part: string | Buffer) => stored.some((bytes) => bytes.includes(part))
        expect(contains(email)).toBe(true)
        for (const secret of secrets) expect(contains(secret)).toBe(false)
        const output = here.system.output()
        expect(secrets.some((secret) => output.includes(secret.toString('latin1')))).toBe(false)
      })
    })

    describe('check 16: after the answer each service refuses sessions that were ended by', () => {
      const bearer = ({ access_token }: Tokens) => ({ headers: as.bearer(access_token) })
      const operator = { headers: as.operator }
      interface Ending {
        name: string
        act(user: TestUser, system: System): Promise<Answer>
        status: number
        /** The sessions that end with it, of those of the user and of another user. */
        ends: 'one' | 'all of the user' | 'all'
      }
      const endings: Ending[] = [
        {
          name: 'logout with the access token',
          act: ({ tokens }) => auth('POST /auth/logout', bearer(tokens)),
          status: 204,
          ends: 'one',
        },
        {
          name: 'logout with the refresh token',
          act: ({ tokens }) => auth('POST /auth/logout', { body: { refresh_token: tokens.refresh_token } }),
          status: 204,
          ends: 'one',
        },
        {
          name: 'logout with both',
          act: ({ tokens }) =>
            auth('POST /auth/logout', { ...bearer(tokens), body: { refresh_token: tokens.refresh_token } }),
          status: 204,
          ends: 'one',
        },
        {
          name: 'logout-all',
          act: ({ tokens }) => auth('POST /auth/logout-all', bearer(tokens)),
          status: 200,
          ends: 'all of the user',
        },
        {
          name: 'revoking the access token by form',
          act: ({ tokens }) => auth('POST /auth/revoke', form({ token: tokens.access_token })),
          status: 200,
          ends: 'one',
        },
        {
          name: 'revoking the refresh token by form',
          act: ({ tokens }) =>
            auth('POST /auth/revoke', form({ token: tokens.refresh_token, token_type_hint: 'refresh_token' })),
          status: 200,
          ends: 'one',
        },
        {
          name: 'revoking the refresh token by JSON',
          act: ({ tokens }) => auth('POST /auth/revoke', { body: { token: tokens.refresh_token } }),
          status: 200,
          ends: 'one',
        },
        {
          name: 'its owner deleting the session',
          act: ({ tokens }) => auth(`DELETE /auth/sessions/${tokens.session_id}`, bearer(tokens)),
          status: 204,
          ends: 'one',
        },
        {
          name: 'an operator deleting the session',
          act: ({ tokens }) => auth(`DELETE /auth/sessions/${tokens.session_id.toUpperCase()}`, operator),
          status: 204,
          ends: 'one',
        },
        {
          name: 'an operator ending the sessions of the user',
          act: ({ id }) => auth(`DELETE /auth/sessions?user_id=${id}`, operator),
          status: 200,
          ends: 'all of the user',
        },
        {
          name: 'an operator ending all sessions',
          act: () => auth('DELETE /auth/sessions?all=true', operator),
          status: 200,
          ends: 'all',
        },
        {
          name: 'the user deleting their account',
          act: ({ id, tokens }) => users(`DELETE /users/${id}`, bearer(tokens)),
          status: 204,
          ends: 'all of the user',
        },
        {
          name: 'an operator deleting the user',
          act: ({ id }) => users(`DELETE /users/${id}`, operator),
          status: 204,
          ends: 'all of the user',
        },
        {
          name: 'disabling the user',
          act: ({ id }) => users(`PATCH /users/${id}`, { ...operator, body: { status: 'disabled' } }),
          status: 200,
          ends: 'all of the user',
        },
        {
          name: 'an operator setting the password',
          act: ({ id }) =>
            users(`POST /users/${id}/set-password`, { ...operator, body: { new_password: 'set by another' } }),
          status: 204,
          ends: 'all of the user',
        },
        {
          name: 'a password reset',
          act: async ({ email }, system) => {
            const token = await mailedToken(auth, system, email)
            return auth('POST /auth/password-reset-confirm', { body: { token, new_password: 'set by the link' } })
          },
          status: 204,
          ends: 'all of the user',
        },
      ]

      test.each(endings)('$name', async ({ act, ends, status }) => {
        const user = await registerUser(here.system)
        const otherUser = await registerUser(here.system)
        const second = await secondSession(user)
        await Promise.all([expectLive(user.tokens), expectLive(second)])
        expect((await act(user, here.system)).status).toBe(status)
        await expectEnded(user.tokens)
        if (ends === 'one') await expectLive(second)
        else await expectEnded(second)
        if (ends === 'all') await expectEnded(otherUser.tokens)
        else await expectLive(otherUser.tokens)
      })

      test('changing the password, except the session that changed it', async () => {
        const user = await registerUser(here.system)
        const second = await secondSession(user)
        const changed = await users(`POST /users/${user.id}/change-password`, {
          ...bearer(user.tokens),
          body: { current_password: PASSWORD, new_password: 'quite another one' },
        })
        expect(changed.status).toBe(204)
        await expectEnded(second)
        await expectLive(user.tokens)
        expect((await refresh(user.tokens.refresh_token)).status).toBe(200)
        expectProblem(await logIn(here.system, user.email), 401, 'invalid_credentials')
        expect((await logIn(here.system, user.email, 'quite another one')).status).toBe(200)
      })

      test('changing the roles, until a refresh returns an access token with the new roles', async () => {
        const user = await registerUser(here.system)
        const second = await secondSession(user)
        await users(`PATCH /users/${user.id}`, { ...operator, body: { roles: ['USER', 'EDITOR'] } })
        for (const { access_token, refresh_token } of [user.tokens, second]) {
          expect(await askEach(here.system, access_token)).toEqual(all('token_revoked'))
          const next = (await refresh(refresh_token)).body
          await expectLive(next)
          const validation = await auth('POST /auth/validate-token', { body: { token: next.access_token } })
          expect(validation.body.roles).toEqual(['USER', 'EDITOR'])
        }
      })

      test('check 13: a logout beside a concurrent refresh, 20 times', async () => {
        for (let round = 0; round < 20; round++) {
          const { tokens } = await registerUser(here.system)
          const [rotated, ended] = await Promise.all([
            refresh(tokens.refresh_token),
            auth('POST /auth/logout', bearer(tokens)),
          ])
          expect(ended.status).toBe(204)
          await expectEnded(tokens)
          if (rotated.status === 200) await expectEnded(rotated.body)
          else expectProblem(rotated, 401, 'invalid_refresh_token')
        }
      })

      test('a change of the password beside a concurrent login with the old one, 10 times', async () => {
        for (let round = 0; round < 10; round++) {
          const user = await registerUser(here.system)
          const [login, set] = await Promise.all([
            logIn(here.system, user.email),
            users(`POST /users/${user.id}/set-password`, { ...operator, body: { new_password: 'set by another' } }),
          ])
          expect(set.status).toBe(204)
          await expectEnded(user.tokens)
          if (login.status === 200) await expectEnded(login.body)
          else expectProblem(login, 401, 'invalid_credentials')
        }
      })
    })

    describe('logging out', () => {
      test('is refused without a token, with an unknown one, and the second time', async () => {
        const { tokens } = await registerUser(here.system)
        const headers = as.bearer(tokens.access_token)
        expectProblem(await auth('POST /auth/logout'), 401, 'missing_token')
        expectProblem(await auth('POST /auth/logout', { body: { refresh_token: 'x' } }), 401, 'invalid_refresh_token')
        expectProblem(await auth('POST /auth/logout', { headers: as.bearer('x') }), 401, 'invalid_token')
        const out = await auth('POST /auth/logout', { headers })
        expect([out.status, out.text]).toEqual([204, ''])
        expectProblem(await auth('POST /auth/logout', { headers }), 401, 'token_revoked')
        const again = await auth('POST /auth/logout', { body: { refresh_token: tokens.refresh_token } })
        expectProblem(again, 401, 'invalid_refresh_token')
      })

      /** Invalid access tokens, of the session itself and of others, by their fault. */
      const badBearers: Record<string, (user: TestUser) => Promise<string> | string> = {
        'that is not a token': () => 'x',
        'that is empty': () => '',
        'of another scheme': () => 'Basic eDp5',
        'with an altered signature': ({ tokens }) => `${tokens.access_token.slice(0, -4)}AAAA`,
        'that was revoked with its roles': async ({ id, tokens }) => {
          await users(`PATCH /users/${id}`, { headers: as.operator, body: { roles: ['EDITOR'] } })
          return tokens.access_token
        },
        'of another session, which has ended': async ({ email }) => {
          const other = (await logIn(here.system, email)).body
          await auth('POST /auth/logout', { headers: as.bearer(other.access_token) })
          return other.access_token
        },
      }
      const logouts = ['/auth/logout', '/api/v1/auth/logout', '/logout', '/auth/logout/']

      test.each(Object.keys(badBearers))('R18: a valid refresh token is enough beside a Bearer %s', async (which) => {
        for (const path of logouts)
          for (const kind of ['v1', 'v0']) {
            const user = await createUser(here.system)
            const tokens = kind === 'v1' ? user.tokens : await v0Session(user)
            const bad = await badBearers[which]?.({ ...user, tokens })
            const authorization = bad?.startsWith('Basic') ? bad : `Bearer ${bad}`
            const body = { refresh_token: tokens.refresh_token }
            const out = await call(here.system.url.auth, `POST ${path}`, { headers: { authorization }, body })
            expect([path, kind, out.status, out.text]).toEqual([path, kind, 204, ''])
            expect(await askEach(here.system, tokens.access_token)).toEqual(all('token_revoked'))
            expectProblem(await auth('POST /auth/refresh', { body }), 401, 'invalid_refresh_token')
            const again = await call(here.system.url.auth, `POST ${path}`, { headers: { authorization }, body })
            expect([path, kind, again.status]).toEqual([path, kind, 401])
          }
      })

      test('R18: a request without a valid refresh token is refused for its Bearer, for any body', async () => {
        const user = await registerUser(here.system)
        const ended = await registerUser(here.system)
        await auth('POST /auth/logout', { headers: as.bearer(ended.tokens.access_token) })
        const { refresh_token } = ended.tokens
        const headers = as.bearer(ended.tokens.access_token)
        const bodies = [
          undefined,
          {},
          { refresh_token },
          { refresh_token: 'x' },
          { refresh_token: 7 },
          { nickname: 'x' },
        ]
        for (const body of [...bodies, '{', '[]', '"x"'])
          expectProblem(await auth('POST /auth/logout', { headers, body }), 401, 'token_revoked')
        const text = { body: user.tokens.refresh_token, headers: { ...headers, 'content-type': 'text/plain' } }
        expectProblem(await auth('POST /auth/logout', text), 401, 'token_revoked')
        await expectLive(user.tokens)
      })

      test('R18: a request with a valid refresh token is refused for an unknown field or an unknown key', async () => {
        const { tokens } = await registerUser(here.system)
        const body = { refresh_token: tokens.refresh_token, nickname: 'x' }
        expectProblem(await auth('POST /auth/logout', { headers: as.bearer('x'), body }), 400, 'validation_failed')
        const keyed = { headers: { 'x-api-key': 'x' }, body: { refresh_token: tokens.refresh_token } }
        expectProblem(await auth('POST /auth/logout', keyed), 401, 'invalid_api_key')
        await expectLive(tokens)
      })

      test("R18: a refresh token ends its own session, and no session of the Bearer's user", async () => {
        const { tokens } = await registerUser(here.system)
        const other = await createUser(here.system)
        const rest = (await logIn(here.system, other.email)).body
        await auth('POST /auth/logout', { headers: as.bearer(other.tokens.access_token) })
        const body = { refresh_token: tokens.refresh_token }
        const id = crypto.randomUUID()
        const headers = { ...as.bearer(other.tokens.access_token), 'x-request-id': id }
        expect((await auth('POST /auth/logout', { headers, body })).status).toBe(204)
        await expectEnded(tokens)
        await expectLive(rest)
        const { items } = (await auth(`GET /admin/audit?request_id=${id}`, { headers: as.operator })).body
        expect(items).toMatchObject([{ type: 'session.logout', detail: { session_id: tokens.session_id } }])
      })

      test.each(logouts)('R18: %s beside a valid Bearer of another user ends the sessions of both', async (path) => {
        for (const kind of ['v1', 'v0']) {
          const { tokens } = await registerUser(here.system)
          const user = await createUser(here.system)
          const presented = kind === 'v1' ? user.tokens : await v0Session(user)
          const rest = (await logIn(here.system, user.email)).body
          const body = { refresh_token: presented.refresh_token }
          const headers = as.bearer(tokens.access_token)
          expect([path, kind, (await call(here.system.url.auth, `POST ${path}`, { headers, body })).status]).toEqual([
            path,
            kind,
            204,
          ])
          await expectEnded(tokens)
          await expectEnded(presented)
          await expectLive(rest)
        }
      })

      test('logout-all returns the number of sessions', async () => {
        const user = await registerUser(here.system)
        await Promise.all([secondSession(user), secondSession(user)])
        const { body } = await auth('POST /auth/logout-all', { headers: as.bearer(user.tokens.access_token) })
        expect(body).toEqual({ revoked: 3 })
        expectProblem(await auth('POST /auth/logout-all'), 401, 'missing_token')
        expectProblem(await auth('POST /auth/logout-all', { headers: as.operator }), 403, 'forbidden')
      })
    })

    describe('the list', () => {
      test('has the live sessions of the caller, newest first', async () => {
        const user = await registerUser(here.system)
        await registerUser(here.system)
        const second = await secondSession(user)
        const third = await secondSession(user)
        await auth(`POST /auth/logout`, { headers: as.bearer(second.access_token) })
        const { body, text } = await auth('GET /auth/sessions', {
          headers: { ...as.bearer(user.tokens.access_token), 'user-agent': 'asking' },
        })
        expectFields(body, FIELDS.page)
        expect(body).toMatchObject({ total: 2, page: 1, size: 50, pages: 1, next_cursor: null })
        expect(body.items.map(({ id }: { id: string }) => id)).toEqual([third.session_id, user.tokens.session_id])
        for (const session of body.items) {
          expectFields(session, FIELDS.session)
          expect(session).toMatchObject({ user_id: user.id, ip: '127.0.0.1' })
          expect(session.current).toBe(session.id === user.tokens.session_id)
          expect(session.user_agent).toMatch(/^Bun\//)
          for (const at of [session.created_at, session.last_used_at, session.expires_at]) expect(at).toMatch(TIME)
          expect(Date.parse(session.expires_at) - Date.parse(session.last_used_at)).toBe(7 * 24 * 3600 * 1000)
        }
        expect(text).not.toContain('refresh')
      })

      test('has last_used_at, which a refresh changes, and created_at, which stays', async () => {
        const { tokens } = await registerUser(here.system)
        const headers = as.bearer(tokens.access_token)
        const before = (await auth('GET /auth/sessions', { headers })).body.items[0]
        await refresh(tokens.refresh_token)
        const after = (await auth('GET /auth/sessions', { headers })).body.items[0]
        expect(after.last_used_at > before.last_used_at).toBe(true)
        expect(after.created_at).toBe(before.created_at)
      })

      test('has the sessions of one user or of all for an operator, each once by cursor', async () => {
        const user = await registerUser(here.system)
        const ids = [user.tokens.session_id]
        for (let i = 0; i < 4; i++) ids.unshift((await secondSession(user)).session_id)
        const headers = as.operator
        const fullList = (await auth(`GET /auth/sessions?user_id=${user.id.toUpperCase()}`, { headers })).body
        expect(fullList.items.map(({ id }: { id: string }) => id)).toEqual(ids)
        expect(fullList.items.some(({ current }: { current: boolean }) => current)).toBe(false)
        const second = (await auth(`GET /auth/sessions?user_id=${user.id}&size=2&page=2`, { headers })).body
        expect(second).toMatchObject({ total: 5, page: 2, size: 2, pages: 3 })
        expect(second.items.map(({ id }: { id: string }) => id)).toEqual(ids.slice(2, 4))

        const walked: string[] = []
        let cursor: string | null = (await auth(`GET /auth/sessions?user_id=${user.id}&size=2`, { headers })).body
          .next_cursor
        while (cursor !== null) {
          // A session that is opened during the walk comes before it in the list.
          await secondSession(user)
          const { body }: Answer = await auth(`GET /auth/sessions?user_id=${user.id}&size=2&cursor=${cursor}`, {
            headers,
          })
          expect(body).toMatchObject({ total: null, page: null, pages: null, size: 2 })
          walked.push(...body.items.map(({ id }: { id: string }) => id))
          cursor = body.next_cursor
        }
        expect(walked).toEqual(ids.slice(2))

        const everyone = (await auth('GET /auth/sessions?all=true&size=200', { headers })).body
        expect(everyone.total).toBeGreaterThan(7)
        expect(new Set(everyone.items.map(({ user_id }: { user_id: string }) => user_id)).size).toBeGreaterThan(1)
      })

      test('has the sessions of other users for an ADMIN, and not for another user', async () => {
        const admin = await createUser(here.system, { roles: ['ADMIN'] })
        const user = await registerUser(here.system)
        const asAdmin = { headers: as.bearer(admin.tokens.access_token) }
        const asUser = { headers: as.bearer(user.tokens.access_token) }
        expect((await auth(`GET /auth/sessions?user_id=${user.id}`, asAdmin)).body.total).toBe(1)
        const adminSessions = (await auth('GET /auth/sessions', asAdmin)).body
        expect(adminSessions.items.map(({ user_id }: { user_id: string }) => user_id)).toEqual([admin.id])
        for (const query of [`user_id=${user.id}`, `user_id=${admin.id}`, 'all=true'])
          expectProblem(await auth(`GET /auth/sessions?${query}`, asUser), 403, 'forbidden')
        for (const query of [`user_id=${user.id}`, 'all=true'])
          expectProblem(await auth(`DELETE /auth/sessions?${query}`, asUser), 403, 'forbidden')
        await users(`PATCH /users/${admin.id}`, { headers: as.operator, body: { roles: ['ADMIN', 'USER'] } })
        expectProblem(await auth('GET /auth/sessions?all=true', asAdmin), 401, 'token_revoked')
        await expectLive(user.tokens)
      })

      test.each([
        '',
        `?user_id=${crypto.randomUUID()}&all=true`,
        '?user_id=ana',
        '?all=yes',
        '?all=true&size=0',
        '?all=true&size=201',
        '?all=true&page=0',
        '?all=true&cursor=garbage',
        `?all=true&cursor=${Buffer.from('["x","\' OR 1=1 --"]').toString('base64url')}`,
        '?all=true&nothing=1',
      ])('refuses the query "%s"', async (query) => {
        expectProblem(await auth(`GET /auth/sessions${query}`, { headers: as.operator }), 400, 'validation_failed')
      })

      test('refuses the cursor of another list, and a cursor beside a page', async () => {
        const user = await registerUser(here.system)
        await secondSession(user)
        const headers = as.operator
        const { body } = await auth(`GET /auth/sessions?user_id=${user.id}&size=1`, { headers })
        expect(body.next_cursor).toBeString()
        for (const query of [
          `all=true&cursor=${body.next_cursor}`,
          `user_id=${user.id}&page=1&cursor=${body.next_cursor}`,
        ])
          expectProblem(await auth(`GET /auth/sessions?${query}`, { headers }), 400, 'validation_failed')
      })

      test('is refused without credentials and for keys of services', async () => {
        expectProblem(await auth('GET /auth/sessions'), 401, 'missing_token')
        expectProblem(await auth('GET /auth/sessions', { headers: as.internal }), 403, 'forbidden')
        expectProblem(await auth('GET /auth/sessions', { headers: { 'x-api-key': 'x' } }), 401, 'invalid_api_key')
      })
    })

    describe('deleting', () => {
      test("another user's session, an unknown one, or the same one twice is 404", async () => {
        const user = await registerUser(here.system)
        const other = await registerUser(here.system)
        const headers = as.bearer(user.tokens.access_token)
        const remove = (id: string, who = headers) => auth(`DELETE /auth/sessions/${id}`, { headers: who })
        for (const id of [other.tokens.session_id, crypto.randomUUID(), 'x', `${other.tokens.session_id}'--`])
          expectProblem(await remove(id), 404, 'session_not_found')
        await expectLive(other.tokens)
        const second = await secondSession(user)
        expect((await remove(second.session_id)).status).toBe(204)
        expectProblem(await remove(second.session_id), 404, 'session_not_found')
        expectProblem(await auth(`DELETE /auth/sessions/${user.tokens.session_id}`), 401, 'missing_token')
        await expectLive(user.tokens)
      })

      test('the sessions of a user returns their number, and needs a user id', async () => {
        const user = await registerUser(here.system)
        await secondSession(user)
        const headers = as.operator
        for (const query of ['', '?all=false', `?all=true&user_id=${user.id}`, '?user_id=x'])
          expectProblem(await auth(`DELETE /auth/sessions${query}`, { headers }), 400, 'validation_failed')
        expect((await auth(`DELETE /auth/sessions?user_id=${user.id}`, { headers })).body).toEqual({ revoked: 2 })
        expect((await auth(`DELETE /auth/sessions?user_id=${user.id}`, { headers })).body).toEqual({ revoked: 0 })
        expectProblem(await auth('DELETE /auth/sessions?all=true'), 401, 'missing_token')
      })
    })
  })
})
