import { describe, expect, test } from 'bun:test'
import { createUser, logIn, newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { expectFields, expectProblem, FIELDS, UUID } from '../support/expectations.ts'
import { type Answer, as, type Client, call, jsonLines } from '../support/http.ts'
import { running } from '../support/running.ts'
import { inProcessApart } from '../support/system.ts'

const TYPE = 'application/x-ndjson'
const HASH = `$2b$04$${'a'.repeat(53)}`
const OTHER_HASH = `$2b$04$${'b'.repeat(53)}`
const MIB = 1024 * 1024

type Line = Record<string, unknown>

/** Asserts that an answer is complete lines of JSON. @returns the lines */
function linesOf(answer: Answer): Line[] {
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-type')).toBe(TYPE)
  expect(answer.headers.get('cache-control')).toBe('no-store')
  const lines = answer.text.split('\n')
  expect(lines.pop()).toBe('')
  return lines.map((line) => JSON.parse(line))
}

const bodyOf = (lines: (Line | string)[]) => String(jsonLines(lines).body)

describe('users in bulk', () => {
  const here = running(inProcessApart)
  const { auth, users } = here
  const post = (client: Client, body: unknown, query = '', headers: Record<string, string> = as.operator) =>
    client(`POST /users/import${query}`, { headers: { 'content-type': TYPE, ...headers }, body })
  const importing = async (lines: (Line | string)[], query = '') => linesOf(await post(users, bodyOf(lines), query))
  const exporting = async (query = '') => linesOf(await users(`GET /users/export${query}`, { headers: as.operator }))
  const read = async (id: unknown) => (await users(`GET /users/${id}`, { headers: as.operator })).body
  const audit = async (type: string) =>
    (await auth(`GET /admin/audit?type=${type}&size=200`, { headers: as.operator })).body.items

  test('1,200 users are exported from one system, imported into another, and log in there', async () => {
    const starting = inProcessApart()
    try {
      const hash = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 4 })
      const people = Array.from({ length: 1200 }, (_, n) => ({
        email: `Person${n}@bulk.example.org`,
        ...(n % 2 ? { username: `person${n}`, name: `Zoë ${n}` } : {}),
        ...(n % 3 ? { roles: ['STAFF', 'USER'] } : {}),
        ...(n % 5 ? {} : { status: 'disabled' }),
        ...(n % 7 ? {} : { email_verified: true }),
        password_hash: hash,
      }))
      const results = await importing(people)
      expect(results.map(({ line, status }) => `${line} ${status}`)).toEqual(people.map((_, n) => `${n + 1} created`))
      const exported = await exporting('?with_hashes=true')
      const exportedUsers = exported.slice(-1200)
      expect(exportedUsers.map(({ id }) => id)).toEqual(results.map(({ id }) => id))
      expect(exportedUsers).toMatchObject(people)

      const target = await starting
      const elsewhere: Client = (request, options) => call(target.url.users, request, options)
      const importResults = linesOf(await post(elsewhere, bodyOf(exportedUsers)))
      expect(importResults).toEqual(exportedUsers.map(({ id }, n) => ({ line: n + 1, status: 'created', id }) as Line))
      // Unchanged, with their ids and times, in the same order.
      const answer = await elsewhere('GET /users/export?with_hashes=true', { headers: as.operator })
      expect(linesOf(answer)).toEqual(exportedUsers)
      for (const n of [1, 601, 1199]) expect((await logIn(target, `person${n}`)).status).toBe(200)
      expect((await logIn(target, 'person1', 'not the password')).status).toBe(401)
      expect((await logIn(target, 'Person0@bulk.example.org')).body.code).toBe('account_disabled')
    } finally {
      await (await starting).stop()
    }
  })

  describe('an export', () => {
    test('has the fields of a user, hashes only on request, and an event in the audit', async () => {
      const { email } = await createUser(here.system)
      for (const query of ['', '?with_hashes=false']) {
        const answer = await users(`GET /users/export${query}`, { headers: as.operator })
        expect(answer.text).not.toContain('$2')
        const lines = linesOf(answer)
        for (const line of lines) expectFields(line, FIELDS.user)
        expect(lines.at(-1)).toMatchObject({ email })
        expect(lines.at(-1)).toEqual(await read(lines.at(-1)?.id))
      }
      const lines = await exporting('?with_hashes=true')
      for (const line of lines) expectFields(line, [...FIELDS.user, 'password_hash'])
      const rows = await eventually(async () => {
        const entries = await audit('users.exported')
        return entries.length >= 3 ? entries : undefined
      })
      // Events that are sent together may be stored in another order, and two may have the same millisecond.
      const newest = rows.sort((a: Line, b: Line) => String(b.at).localeCompare(String(a.at))).slice(0, 3)
      expect(newest.map(({ detail }: Line) => JSON.stringify(detail)).sort()).toEqual([
        '{"with_hashes":false}',
        '{"with_hashes":false}',
        '{"with_hashes":true}',
      ])
      expect(rows[0]).toMatchObject({ actor: 'operator', user_id: null, request_id: expect.any(String) })
    })

    test.each(['with_hashes=yes', 'with_hashes=', 'with_hashes=1', 'page=1'])('%s is refused', async (query) => {
      expectProblem(await users(`GET /users/export?${query}`, { headers: as.operator }), 400, 'validation_failed')
    })

    test('is not made for a HEAD request', async () => {
      const before = (await audit('users.exported')).length
      const answer = await fetch(`${here.system.url.users}/users/export`, { method: 'HEAD', headers: as.operator })
      expect([answer.status, await answer.text()]).toEqual([200, ''])
      expect((await audit('users.exported')).length).toBe(before)
    })

    test('that is not read to its end does no harm', async () => {
      const controller = new AbortController()
      const { body } = await fetch(`${here.system.url.users}/users/export?with_hashes=true`, {
        headers: as.operator,
        signal: controller.signal,
      })
      await body?.getReader().read()
      controller.abort()
      expect((await exporting()).length).toBeGreaterThan(0)
    })
  })

  describe('a line', () => {
    const email = newEmail
    const id = '0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e'
    const fails: [string, Line | string, string, (string | RegExp)?][] = [
      [
        'with both',
        { email: email(), password: PASSWORD, password_hash: HASH },
        'validation_failed',
        /^password_hash /,
      ],
      ['with an unsupported hash', { email: email(), password_hash: 'canary' }, 'validation_failed', /^password_hash /],
      [
        'with a short password',
        { email: email(), password: 'canary' },
        'validation_failed',
        /^password must be longer/,
      ],
      ['with a common password', { email: email(), password: 'password1' }, 'weak_password'],
      ['without an email', { password_hash: HASH }, 'validation_failed', 'email is required'],
      [
        'with an invalid email',
        { email: 'canary', password_hash: HASH },
        'validation_failed',
        'email must be an email',
      ],
      [
        'with an unknown field',
        { email: email(), password_hash: HASH, nickname: 'x' },
        'validation_failed',
        'nickname should not exist',
      ],
      [
        'with an invalid id',
        { email: email(), password_hash: HASH, id: 'x' },
        'validation_failed',
        'id must be a UUID',
      ],
      [
        'with an invalid time',
        { email: email(), password_hash: HASH, created_at: '2026' },
        'validation_failed',
        /^created_at must be/,
      ],
      [
        'with a wrong role',
        { email: email(), password_hash: HASH, roles: ['user'] },
        'validation_failed',
        /^roles.0 must be/,
      ],
      [
        'with NUL',
        { email: email(), password_hash: HASH, name: 'a\0' },
        'validation_failed',
        'name must not contain NUL',
      ],
      ['with a lone surrogate', `{"email":"${email()}","name":"\\ud800"}`, 'validation_failed', /lone surrogates$/],
      ['that is a list', '[]', 'validation_failed', 'body must be an object'],
      ['that is cut', '{"email":"canary', 'malformed_json'],
      ['that is deep', `{"email":${'['.repeat(32)}${']'.repeat(32)}}`, 'malformed_json'],
    ]
    test('that is invalid fails with its number, and does not affect the others', async () => {
      const [first, last] = [email(), email()]
      const lines = [
        '',
        { email: first, password_hash: HASH },
        ' \r',
        ...fails.map(([, line]) => line),
        '',
        { email: last, password: PASSWORD },
        '',
      ]
      const answer = await post(users, bodyOf(lines))
      expect(answer.text).not.toContain('canary')
      const results = linesOf(answer)
      expect(results.map(({ line }) => line)).toEqual([2, ...fails.map((_, n) => n + 4), fails.length + 5])
      expect(results[0]).toEqual({ line: 2, status: 'created', id: expect.stringMatching(UUID) })
      expect(results.at(-1)).toEqual({ line: fails.length + 5, status: 'created', id: expect.stringMatching(UUID) })
      for (const [n, [what, , code, message]] of fails.entries()) {
        const result = results[n + 1] as Line & { message: string | string[] }
        expectFields(result, ['line', 'status', 'code', 'message'])
        expect([what, result.status, result.code]).toEqual([what, 'failed', code])
        if (code === 'validation_failed') expect(result.message).toBeArray()
        if (message) expect(result.message[0]).toMatch(message)
      }
      expect((await logIn(here.system, last)).status).toBe(200)
    })

    test('has defaults, and keeps an id and its times', async () => {
      const at = '2020-02-29T10:00:00.000Z'
      const [bare, full] = await importing([
        { email: 'Bare@Lines.example.org', password_hash: HASH, username: 'BARE', name: null },
        { email: email(), password_hash: HASH, id: id.toUpperCase(), created_at: at, updated_at: at },
      ])
      expect(await read(bare?.id)).toMatchObject({
        ...{ email: 'Bare@Lines.example.org', username: 'bare', name: null, roles: ['USER'], status: 'active' },
        email_verified: false,
      })
      expect(full).toEqual({ line: 2, status: 'created', id })
      expect(await read(id)).toMatchObject({ created_at: at, updated_at: at })
    })
  })

  describe('a conflict', () => {
    const make = async () => {
      const name = `who${newEmail().replace(/\W/g, '').slice(0, 20)}`
      const user = { email: `${name}@conflict.example.org`, username: name, password_hash: HASH }
      const [result] = await importing([user])
      return { ...user, id: result?.id as string }
    }
    const clashing = ({ email, username, id }: Awaited<ReturnType<typeof make>>): Line[] => [
      { email: email.toUpperCase(), password_hash: HASH },
      { email: newEmail(), username: username.toUpperCase(), password_hash: HASH },
      { email: newEmail(), id, password_hash: HASH },
    ]

    test('fails by default', async () => {
      const one = await make()
      for (const query of ['', '?on_conflict=fail'])
        expect(await importing(clashing(one), query)).toEqual([
          { line: 1, status: 'failed', code: 'email_taken', message: 'Email is taken' },
          { line: 2, status: 'failed', code: 'username_taken', message: 'Username is taken' },
          { line: 3, status: 'failed', code: 'validation_failed', message: [expect.stringMatching(/^id is /)] },
        ])
    })

    test('is skipped with on_conflict=skip', async () => {
      const one = await make()
      const before = await read(one.id)
      expect(await importing(clashing(one), '?on_conflict=skip')).toEqual(
        [1, 2, 3].map((line) => ({ line, status: 'skipped', id: one.id })),
      )
      expect(await read(one.id)).toEqual(before)
    })

    test('with a deleted user fails, for any on_conflict', async () => {
      const { id } = await make()
      expect((await users(`DELETE /users/${id}`, { headers: as.operator })).status).toBe(204)
      for (const query of ['', '?on_conflict=skip', '?on_conflict=update'])
        expect(await importing([{ email: newEmail(), password_hash: HASH, id }], query)).toMatchObject([
          { status: 'failed', code: 'validation_failed' },
        ])
    })

    test('between lines of one body has the same result as between bodies', async () => {
      const [a, b, c] = [newEmail(), newEmail(), newEmail()]
      const name = `n${a.replace(/\W/g, '').slice(0, 20)}`
      const statuses = async (query: string, ...lines: Line[]) =>
        (
          await importing(
            lines.map((line) => ({ password_hash: HASH, ...line })),
            query,
          )
        ).map(({ status, code }) => code ?? status)
      expect(await statuses('', { email: a, username: name }, { email: a }, { email: b, username: name })).toEqual([
        ...['created', 'email_taken', 'username_taken'],
      ])
      const moved = [
        { email: a, username: null },
        { email: c, username: name },
        { email: c, username: name },
        { email: c, name: 'C' },
      ]
      expect(await statuses('?on_conflict=update', ...moved)).toEqual(['updated', 'created', 'unchanged', 'updated'])
    })

    test('is updated with on_conflict=update, and ends sessions and tokens as the changes require', async () => {
      const query = '?on_conflict=update'
      const ana = await createUser(here.system)
      const check = () => auth('GET /auth/me', { headers: as.bearer(ana.tokens.access_token) })
      const update = async (line: Line) => {
        const [result] = await importing([{ email: ana.email, ...line }], query)
        return result
      }
      expect(await update({ name: 'Ana', email_verified: true })).toEqual({ line: 1, status: 'updated', id: ana.id })
      expect(await read(ana.id)).toMatchObject({ name: 'Ana', email_verified: true, roles: ['USER'] })
      expect((await update({ name: 'Ana', password: PASSWORD }))?.status).toBe('unchanged')
      const [exportedLine] = (await exporting('?with_hashes=true')).filter((line) => line.id === ana.id)
      expect((await update({ ...exportedLine }))?.status).toBe('unchanged')
      expect((await check()).status).toBe(200)

      expect((await update({ roles: ['USER', 'STAFF'] }))?.status).toBe('updated')
      expectProblem(await check(), 401, 'token_revoked')
      const refresh = (token: string) => auth('POST /auth/refresh', { body: { refresh_token: token } })
      const renewed = (await refresh(ana.tokens.refresh_token)).body.refresh_token
      expect((await update({ password_hash: OTHER_HASH }))?.status).toBe('updated')
      expectProblem(await refresh(renewed), 401, 'invalid_refresh_token')
      expect((await logIn(here.system, ana.email)).status).toBe(401)
      expect((await update({ password: 'another horse battery' }))?.status).toBe('updated')
      expect((await logIn(here.system, ana.email, 'another horse battery')).status).toBe(200)
      expect(await update({ password: 'canary' })).toMatchObject({ status: 'failed', code: 'validation_failed' })
      const elsewhere = { id: '0198c7a2-7f3e-7c21-9d5b-3f6a1b2c0000' }
      expect(await update(elsewhere)).toMatchObject({ status: 'failed', code: 'validation_failed' })
      const other = await make()
      expect(await update({ username: other.username })).toMatchObject({ status: 'failed', code: 'username_taken' })
      for (const type of ['user.updated', 'user.roles_changed', 'password.set'])
        await eventually(async () => (await audit(type)).some((row: Line) => row.user_id === ana.id) || undefined)
    })

    test('cannot demote the last administrator', async () => {
      const emails = Array.from({ length: 8 }, newEmail)
      const admins = emails.map((email) => ({ email, roles: ['ADMIN'], password_hash: HASH }))
      await importing(admins)
      const strip = admins.map(({ email }) => ({ email, roles: ['USER'] }))
      const results = await importing(strip, '?on_conflict=update')
      expect(results.map(({ status, code }) => code ?? status)).toEqual([
        ...emails.slice(1).map(() => 'updated'),
        'last_admin',
      ])
    })

    test.each(['on_conflict=replace', 'on_conflict=', 'dry_run=true'])('%s is refused', async (query) => {
      expectProblem(await post(users, '', `?${query}`), 400, 'validation_failed')
    })
  })

  test('many plain passwords in one import are hashed one after the other', async () => {
    const people = Array.from({ length: 150 }, () => ({ email: newEmail(), password: PASSWORD }))
    const results = await importing(people)
    expect(results.filter(({ status }) => status === 'created')).toHaveLength(150)
    expect((await logIn(here.system, people[149]?.email ?? '')).status).toBe(200)
  })

  test('auth receives all users who were imported', async () => {
    const people = Array.from({ length: 700 }, (_, n) => ({
      ...{ email: `received${n}@received.example.org`, name: 'Ä'.repeat(200), password_hash: HASH },
    }))
    await importing(people)
    await eventually(async () => {
      const { body } = await auth('GET /admin/password-cache?search=@received.example.org', { headers: as.operator })
      return body.total === 700
    })
  })

  test('an import is one event in the audit, with the results of its lines', async () => {
    const repeatedEmail = newEmail()
    const good = { email: repeatedEmail, password_hash: HASH }
    await importing([good, { email: newEmail(), password_hash: HASH }, good, 'x'])
    const [row] = await eventually(async () => {
      const rows: Line[] = await audit('users.imported')
      return rows[0]?.detail && (rows[0].detail as Line).created === 2 ? rows : undefined
    })
    expect(row).toMatchObject({ actor: 'operator', user_id: null })
    expect(row?.detail).toEqual({ on_conflict: 'fail', created: 2, updated: 0, unchanged: 0, skipped: 0, failed: 2 })
    expect(JSON.stringify(row)).not.toContain('$2')
  })

  describe('the body of an import', () => {
    const line = () => bodyOf([{ email: newEmail(), password_hash: HASH }])
    const filled = (size: number) => `${line()}\n${'\n'.repeat(size)}`.slice(0, size)

    test.each([TYPE, 'application/jsonl', `${TYPE}; charset=utf-8`])('may be %s', async (type) => {
      const [result] = linesOf(await post(users, line(), '', { ...as.operator, 'content-type': type }))
      expect(result?.status).toBe('created')
    })

    test.each(['application/json', 'text/plain', `${TYPE}; charset=latin1`, 'application/x-www-form-urlencoded'])(
      'may not be %s',
      async (type) => {
        const answer = await post(users, line(), '', { ...as.operator, 'content-type': type })
        expectProblem(answer, 415, 'unsupported_media_type')
      },
    )

    test('may be empty', async () => {
      expect(linesOf(await post(users, '\n\n'))).toEqual([])
      expect(linesOf(await users('POST /users/import', { headers: as.operator }))).toEqual([])
    })

    test('is at most 1 MiB, with a content length or chunked', async () => {
      expect(linesOf(await post(users, filled(MIB)))).toMatchObject([{ status: 'created' }])
      expectProblem(await post(users, filled(MIB + 1)), 413, 'body_too_large')
      const stream = (size: number) =>
        new ReadableStream({
          start(controller) {
            const text = filled(size)
            for (let at = 0; at < size; at += 65_536) controller.enqueue(text.slice(at, at + 65_536))
            controller.close()
          },
        })
      expect(linesOf(await post(users, stream(MIB)))).toMatchObject([{ status: 'created' }])
      expectProblem(await post(users, stream(MIB + 1)), 413, 'body_too_large')
    })

    test('is UTF-8', async () => {
      expectProblem(await post(users, new Uint8Array([123, 34, 255, 34, 125])), 400, 'malformed_json')
    })
  })

  test('both are for operators, for any body', async () => {
    const ana = await registerUser(here.system)
    const admin = await createUser(here.system, { roles: ['ADMIN'] })
    const large = 'x'.repeat(MIB + 1)
    for (const [headers, status, code] of [
      [{}, 401, 'missing_token'],
      [{ 'x-api-key': 'wrong' }, 401, 'invalid_api_key'],
      [as.bearer(ana.tokens.access_token), 403, 'forbidden'],
      [as.internal, 403, 'forbidden'],
    ] as [Record<string, string>, number, string][]) {
      expectProblem(await users('GET /users/export?with_hashes=x', { headers }), status, code)
      for (const body of ['', large, bodyOf([{ email: newEmail(), password_hash: HASH }])])
        expectProblem(
          await post(users, body, '?on_conflict=x', { 'content-type': 'text/plain', ...headers }),
          status,
          code,
        )
    }
    const headers = as.bearer(admin.tokens.access_token)
    expect(linesOf(await users('GET /users/export', { headers })).length).toBeGreaterThan(0)
    expect(linesOf(await post(users, '', '', headers))).toEqual([])
  })
})
