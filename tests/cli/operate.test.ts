import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { type AddressInfo, connect, createServer } from 'node:net'
import { createUser, logIn, registerUser, type TestUser } from '../support/actors.ts'
import { eventually, PROMPT } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { createClient, idTokensBy } from '../support/oauth/clients.ts'
import { openInstance } from '../support/shell.ts'

setDefaultTimeout(120_000)

let instance: Awaited<ReturnType<typeof openInstance>>
beforeAll(async () => {
  instance = await openInstance('operate')
})
afterAll(() => instance?.close())

const run = (line: string, options?: Parameters<typeof instance.shell.run>[1]) =>
  instance.shell.run(`ch202 ${line}`, options)

/** The JSON output of a line, with its exit status. */
async function json(line: string, options?: Parameters<typeof run>[1]) {
  const { status, stderr, stdout } = await run(`${line} -o json`, options)
  expect([line, stderr]).toEqual([line, ''])
  return { exit: status, ...JSON.parse(stdout) }
}

/** Runs lines that must all end with the same status, without data. */
async function refused(status: number, lines: readonly string[]) {
  const ends = await Promise.all(lines.map((line) => run(line)))
  expect(ends.map((ended, at) => [lines[at], ended.status, ended.stdout])).toEqual(
    lines.map((line) => [line, status, '']),
  )
  return ends
}

const operator = (request: string, body?: unknown) =>
  call(instance.system.url.auth, request.replace(' ', ' /api/v1'), { headers: as.operator, body })
const isLive = async ({ tokens }: Pick<TestUser, 'tokens'>) =>
  (await call(instance.system.url.auth, 'GET /auth/me', { headers: as.bearer(tokens.access_token) })).status === 200

describe('sessions', () => {
  test('are listed for one user or for all, and an incomplete list prints the next command', async () => {
    const user = await registerUser(instance.system)
    await logIn(instance.system, user.email)
    const [ofUser, all, part] = await Promise.all([
      json(`sessions list --user ${user.email}`),
      run('sessions list --all -o ids'),
      run(`sessions list --user ${user.id} --limit 1 -o ids`),
    ])
    expect(ofUser.items.map((session: { user_id: string }) => session.user_id)).toEqual([user.id, user.id])
    for (const { id } of ofUser.items) expect(all.stdout.split('\n')).toContain(id)
    expect(part.stdout.trim()).toBe(ofUser.items[0].id)
    const next = part.stderr.match(/^1 of 2\n→ (ch202 sessions list --user \S+ --limit 1 --cursor \S+)$/m)?.[1]
    expect((await instance.shell.run(`${next} -o ids`)).stdout.trim()).toBe(ofUser.items[1].id)
  })

  test('end by their ids, by standard input or by their user; ended sessions are no error', async () => {
    const users = await Promise.all([1, 2, 3, 4].map(() => registerUser(instance.system)))
    const [one, two, three, four] = users as [TestUser, TestUser, TestUser, TestUser]
    const id = one.tokens.session_id
    expect(await json(`sessions revoke ${id} --dry-run`)).toEqual({
      exit: 0,
      would_revoke: 1,
      ids: [id],
      changed: false,
    })
    expect(await json(`sessions revoke --user ${one.email} --dry-run`)).toMatchObject({ would_revoke: 1, ids: [id] })
    expect(await isLive(one)).toBe(true)

    expect(await json(`sessions revoke ${id} ${two.tokens.session_id}`)).toEqual({
      exit: 0,
      revoked: 2,
      changed: true,
    })
    expect(await Promise.all(users.map(isLive))).toEqual([false, false, true, true])
    const again = await Promise.all([
      json(`sessions revoke ${id}`),
      json(`sessions revoke --user ${one.email}`),
      json('sessions revoke 00000000-0000-7000-8000-000000000000'),
      json('sessions revoke -', { stdin: '\n' }),
    ])
    for (const answer of again) expect(answer).toEqual({ exit: 0, revoked: 0, changed: false })

    const stdin = `${three.tokens.session_id}\n\n${id}\n`
    expect(await json('sessions revoke -', { stdin })).toEqual({ exit: 0, revoked: 1, changed: true })
    expect(await json(`sessions revoke --user ${four.email}`)).toEqual({ exit: 0, revoked: 1, changed: true })
    expect(await Promise.all(users.map(isLive))).toEqual([false, false, false, false])
  })

  test('end only by valid ids: other lines are reported, and do not affect the rest', async () => {
    const [one, two] = await Promise.all([1, 2].map(() => registerUser(instance.system)))
    const id = String(one?.tokens.session_id)
    const down = { AUTH_URL: 'http://127.0.0.1:1' }
    const words = ['nonsense', `${id} .`, `- ${id}x`, 'nonsense --dry-run', `${id}\u001b`]
    for (const word of words) {
      const { status, stderr, stdout } = await run(`sessions revoke ${word}`, { stdin: id, env: down })
      expect([word, status, stdout, stderr]).toEqual([
        word,
        2,
        '',
        expect.stringContaining(' is not a session id (usage)'),
      ])
      expect(stderr).not.toContain('\u001b')
    }
    expect((await run(`sessions revoke ${id}`, { env: down })).status).toBe(7)
    expect(await isLive({ tokens: one?.tokens as TestUser['tokens'] })).toBe(true)

    const stdin = `nonsense\n${id}\n../x\n${two?.tokens.session_id}\n`
    const errors = ['nonsense is not a session id', '../x is not a session id'].map((message) =>
      expect.objectContaining({ code: 'usage', message }),
    )
    const dry = await json('sessions revoke - --dry-run', { stdin })
    expect(dry).toMatchObject({ exit: 8, would_revoke: 2, failed: 2, errors, changed: false })
    expect(await json('sessions revoke -', { stdin })).toEqual({
      exit: 8,
      revoked: 2,
      failed: 2,
      errors,
      changed: true,
    })
    const again = await run('sessions revoke -', { stdin })
    expect([again.status, again.stdout]).toEqual([8, expect.stringMatching(/^revoked +0\nfailed +2\n/)])
    expect(again.stderr.match(/^✗ \S+ is not a session id/gm)).toHaveLength(2)
    const none = await run('sessions revoke -', { stdin: 'a\nb\n' })
    expect([none.status, none.stdout, none.stderr.match(/^✗ \w is not a session id/gm)?.length]).toEqual([2, '', 2])
  })

  test('of everyone end only with a flag', async () => {
    const user = await registerUser(instance.system)
    const dry = await json('sessions revoke --all --dry-run')
    expect(dry).toEqual({ exit: 0, would_revoke: expect.any(Number), changed: false })
    const { session_id } = user.tokens
    const wrong = ['--all', '', `--all --user ${user.email}`, `${session_id} --all`].map(
      (which) => `sessions revoke ${which}`,
    )
    await refused(2, wrong)
    await refused(3, ['sessions revoke --user nobody'])
    expect(await isLive(user)).toBe(true)
    expect(await json('sessions revoke --all --yes')).toEqual({ exit: 0, revoked: dry.would_revoke, changed: true })
    expect(await isLive(user)).toBe(false)
    expect(await json('sessions revoke --all')).toEqual({ exit: 0, revoked: 0, changed: false })
  })
})

describe('the cache', () => {
  test('reports its statistics and the number of users', async () => {
    const status = await json('cache status')
    const { body } = await operator('GET /health/cache')
    const { total } = (await call(instance.system.url.users, 'GET /users?size=1', { headers: as.operator })).body
    expect(status).toEqual({ exit: 0, ...body, users: total, entries: total })
    const apart = await run('cache status -o json', { env: { USERS_URL: 'http://127.0.0.1:1' } })
    expect([apart.status, JSON.parse(apart.stdout).users]).toEqual([0, null])
  })

  test('drops and syncs, and reports whether that changed anything', async () => {
    const user = await registerUser(instance.system)
    const listed = async () => (await json(`cache list --search ${user.email}`)).items.length
    expect(await listed()).toBe(1)
    const dropped = { exit: 0, ok: true, id: user.id, email: user.email }
    expect(await json(`cache drop ${user.email}`)).toEqual({ ...dropped, changed: true })
    expect(await listed()).toBe(0)
    expect(await json(`cache drop ${user.id}`)).toEqual({ ...dropped, changed: false })
    expect((await run('cache drop nobody@example.org')).status).toBe(3)

    const counts = { synced: 1, removed: 0, unchanged: 0, duration_ms: expect.any(Number) }
    expect(await json(`cache sync --user ${user.email}`)).toEqual({
      exit: 0,
      user_id: user.id,
      email: user.email,
      ...counts,
      changed: true,
    })
    expect(await json(`cache sync --user ${user.email}`)).toMatchObject({ synced: 0, unchanged: 1, changed: false })
    expect(await json('cache sync')).toMatchObject({ synced: 0, removed: 0, changed: false })
    expect((await run('cache sync --user nobody@example.org')).status).toBe(3)
  })

  test('can drop the records of users whom the users service no longer has', async () => {
    const user_id = crypto.randomUUID()
    const now = new Date().toISOString()
    const record = { user_id, email: 'ghost@example.org', username: 'ghost', name: null, roles: ['USER'] }
    const answer = await call(instance.system.url.auth, 'POST /auth/sync/password', {
      headers: as.internal,
      body: {
        ...{ ...record, status: 'active', email_verified: false, created_at: now, updated_at: now },
        ...{ password_hash: '$2b$04$invalid', password_version: 1 },
      },
    })
    expect(answer.status).toBe(204)
    const explained = await json('audit explain ghost@example.org')
    expect(explained).toMatchObject({ reason: 'cache_behind', suggestion: `ch202 cache sync --user ${user_id}` })
    expect(await json('cache drop ghost')).toMatchObject({ exit: 0, id: user_id, changed: true })
    expect((await run('cache drop ghost')).status).toBe(3)
  })

  test('syncs for longer than a connection lives', async () => {
    // An operator's creation sends no mail, which would read the record into the cache again.
    const user = await createUser(instance.system)
    await operator(`DELETE /admin/password-cache/${user.id}`)
    // A proxy or a server closes a connection whose response takes too long.
    const { hostname, port } = new URL(instance.system.url.auth)
    const cutting = createServer((client) => {
      const server = connect(Number(port), hostname)
      let cut = false
      client.on('data', (chunk) => {
        cut ||= chunk.includes('/password-cache/sync')
        server.write(chunk)
      })
      server.on('data', (chunk) => (cut ? client.destroy() : client.write(chunk)))
      for (const [one, other] of [
        [client, server],
        [server, client],
      ] as const)
        one.on('error', () => other.destroy()).on('close', () => other.destroy())
    }).listen(0, '127.0.0.1')
    await eventually(() => cutting.listening || undefined)
    const { port: at } = cutting.address() as AddressInfo
    const synced = await json('cache sync', { env: { AUTH_URL: `http://127.0.0.1:${at}` } })
    cutting.close()
    expect(synced).toMatchObject({ exit: 0, synced: 1, removed: 0, changed: true })
    const away = await run('cache sync', { env: { AUTH_URL: 'http://127.0.0.1:1' } })
    expect([away.status, away.took < PROMPT]).toEqual([7, true])
  })
})

describe('modules', () => {
  test('are created, changed, shown and deleted; a repeated command changes nothing', async () => {
    const created = await json(
      'modules create shop --name Shop --description "Sells things" --role USER --version 2.0.0',
    )
    const shop = { id: 'shop', name: 'Shop', description: 'Sells things', version: '2.0.0', required_roles: ['USER'] }
    expect(created).toMatchObject({ exit: 0, ...shop, requires: [], changed: true })
    const again = await run('modules create shop --name Shop --description x')
    expect([again.status, again.stderr]).toEqual([6, expect.stringContaining('→ ch202 modules get shop')])
    expect((await run('modules create shop')).status).toBe(2)
    await run('modules create till --name Till --description Pays --requires shop')

    expect(await json('modules update shop --name Market --no-role')).toMatchObject({
      name: 'Market',
      required_roles: [],
      changed: true,
    })
    expect(await json('modules update shop --name Market')).toMatchObject({ name: 'Market', changed: false })
    expect((await run('modules update shop')).status).toBe(2)
    expect((await json('modules get shop')).name).toBe('Market')
    expect((await run('modules list -o ids')).stdout).toBe('shop\ntill\n')
    const missing = ['get nothing', 'get .', 'get ..', 'update nothing --name x', 'users nothing']
    await refused(
      3,
      missing.map((line) => `modules ${line}`),
    )

    const stands = await run('modules delete shop --yes')
    expect([stands.status, stands.stderr]).toEqual([6, expect.stringContaining('till')])
    await refused(2, ['modules delete till', 'modules delete till --confirm shop'])
    expect(await json('modules delete till --confirm till')).toEqual({ exit: 0, ok: true, id: 'till', changed: true })
    expect(await json('modules delete till')).toEqual({ exit: 0, ok: true, id: 'till', changed: false })
    expect((await run('modules delete till')).stderr).toContain('There is no module till')
  })

  test('with an id that would change the path do not exist', async () => {
    await run('modules create inbox --name Inbox --description "Takes letters"')
    await refused(
      3,
      ['', '..', '../modules/inbox', 'inbox?user_id=x', 'inbox/users', 'inbox#x'].map((id) => `modules get '${id}'`),
    )
  })

  test('are turned on and off for all users on standard input', async () => {
    await run('modules create news --name News --description "Tells things"')
    const [one, two] = await Promise.all([createUser(instance.system), createUser(instance.system)])
    const on = await json(`modules enable news --user ${one?.email}`)
    expect(on).toMatchObject({ exit: 0, id: 'news', enabled: true, user_id: one?.id, changed: true })
    const both = await json('modules enable news --user -', { stdin: `${one?.email}\n${two?.id}\n` })
    expect(both.items.map(({ changed }: { changed: boolean }) => changed)).toEqual([false, true])
    const users = await run('modules users news -o ids')
    expect(users.stdout.trim().split('\n').sort()).toEqual([one?.id ?? '', two?.id ?? ''].sort())
    expect((await json(`modules get news --user ${two?.email}`)).enabled).toBe(true)
    expect(await json(`modules disable news --user ${two?.id}`)).toMatchObject({ enabled: false, changed: true })
    expect(await json(`modules disable news --user ${two?.id}`)).toMatchObject({ enabled: false, changed: false })
    const partly = await run('modules disable news --user -', { stdin: `${one?.email}\nnobody@example.org\n` })
    expect(partly.status).toBe(8)
  })
})

describe('keys', () => {
  test('are rotated and removed only after a confirmation; a removed key is no error', async () => {
    const user = await registerUser(instance.system)
    const [{ kid }] = (await json('keys list')).items
    const unsaid = ['keys rotate', 'keys rotate --now', `keys remove ${kid}`, `keys remove ${kid} --confirm other`]
    for (const { stderr } of await refused(2, unsaid)) expect(stderr).toMatch(/--yes|--confirm/)
    expect((await json('keys list')).items).toHaveLength(1)
    const rotated = await json('keys rotate --now --yes')
    expect(rotated).toMatchObject({ exit: 0, alg: 'EdDSA', status: 'active', changed: true })
    expect(rotated.kid).not.toBe(kid)
    expect(await isLive(user)).toBe(true)
    expect(await json(`keys remove ${kid} --confirm ${kid}`)).toEqual({ exit: 0, ok: true, kid, changed: true })
    expect(await isLive(user)).toBe(false)
    expect(await json(`keys remove ${kid}`)).toEqual({ exit: 0, ok: true, kid, changed: false })
    // An id may begin with a dash.
    expect(await json('keys remove -0CEjzQm1V3RroeWGJGfZO')).toMatchObject({ exit: 0, changed: false })
    expect((await run(`keys remove ${kid} --yess`)).status).toBe(2)
    expect((await run('keys list -o ids')).stdout).toBe(`${rotated.kid}\n`)
  })
})

describe('R6: keys rotate', () => {
  const inMinutes = (message: string) => {
    const [, day, time] = /becomes active at (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)Z$/m.exec(message) ?? []
    return (Date.parse(`${day}T${time}Z`) - Date.now()) / 60_000
  }

  test('with the time when the new key becomes active; a second rotation changes nothing', async () => {
    const first = await run('keys rotate --yes')
    expect([first.status, first.stdout]).toEqual([0, expect.stringMatching(/pending.*true/s)])
    expect(inMinutes(first.stderr)).toBeWithin(0.5, 2.1)
    const again = await run('keys rotate --yes')
    expect([again.status, again.stdout]).toEqual([0, first.stdout.replace('true', 'false')])
    expect([again.stderr, inMinutes(again.stderr)]).toEqual([
      expect.stringMatching(/already published/),
      expect.closeTo(inMinutes(first.stderr), 1),
    ])
    const { changed, exit, ...key } = await json('keys rotate --yes')
    expect([exit, changed, key]).toEqual([0, false, (await json('keys list')).items[0]])
    expect((await run('keys list')).stdout).toMatch(/pending.*active/s)

    expect(await json(`keys remove ${key.kid} --yes`)).toMatchObject({ exit: 0, changed: true })
    expect((await json('keys list')).items.map(({ status }: { status: string }) => status)).not.toContain('pending')
  })

  test('at once with --now, which explains the consequences and signs with the pending key', async () => {
    const { kid } = await json('keys rotate --yes')
    const [unsaid] = await refused(2, ['keys rotate --now'])
    expect(unsaid?.stderr).toMatch(/refuse new tokens until they fetch it again, usually within 90 seconds.*--yes/s)
    const { status, stderr, stdout } = await run('keys rotate --now --yes')
    expect([status, stdout]).toEqual([0, expect.stringMatching(new RegExp(`${kid}.*active.*true`, 's'))])
    expect(stderr).toMatch(/active now.*refuse new tokens.*90 seconds/)
    expect((await run('keys rotate --now --yes -q')).stderr).toBe('')
  })

  test('16: of another algorithm with --alg, if a client uses it', async () => {
    expect((await refused(1, ['keys rotate --alg RS256 --yes']))[0]?.stderr).toContain('alg must be an algorithm')
    expect((await run('keys rotate --alg HS256 --yes')).status).toBe(2)
    const client = await createClient(instance.system, idTokensBy('RS256'))
    const statesOf = async (name: string) =>
      (await json('keys list')).items.flatMap(({ alg, status }: Record<string, string>) => (alg === name ? status : []))
    const before = await statesOf('EdDSA')
    expect(await json('keys rotate --alg RS256 --yes')).toMatchObject({ exit: 0, alg: 'RS256', status: 'pending' })
    expect([await statesOf('RS256'), await statesOf('EdDSA')]).toEqual([['pending', 'active'], before])
    expect(await json('keys rotate --alg RS256 --yes')).toMatchObject({ exit: 0, alg: 'RS256', changed: false })
    expect((await run('keys list')).stdout).toMatch(/RS256 +.*pending/)
    await call(instance.system.url.auth, `DELETE /admin/clients/${client.id}`, { headers: as.operator })
    expect(await statesOf('RS256')).toEqual(['retiring'])
  })
})

describe('the audit', () => {
  const at = Date.now()
  const written = async (type: string, n: number): Promise<string[]> => {
    const ids = Array.from({ length: n }, () => crypto.randomUUID())
    const statuses = await Promise.all(
      ids.map(async (id) => {
        const event = { id, at, type, user_id: null, actor: 'internal', ip: null, request_id: null, detail: {} }
        return (await call(instance.system.url.auth, 'POST /auth/audit', { headers: as.internal, body: event })).status
      }),
    )
    expect(new Set(statuses)).toEqual(new Set([204]))
    return ids
  }
  const ids = (text: string) => text.split('\n').filter(Boolean)
  /** All rows of a type, oldest first, read by cursor. */
  const all = async (type: string) => ids((await run(`audit list --type ${type} --all -o ids`)).stdout).reverse()

  test('is listed by user, by type and since when', async () => {
    const user = await registerUser(instance.system)
    await logIn(instance.system, user.email, 'wrong')
    const failed = await json(`audit list --user ${user.email} --type login.failed --since 1h`)
    expect(failed.items.map((row: { detail: unknown }) => row.detail)).toEqual([{ reason: 'wrong_password' }])
    const later = new Date(Date.now() + 60_000).toISOString()
    expect((await json(`audit list --since ${later}`)).items).toEqual([])
    const wrong = ['1x', 'yesterday', '2026-13-01', '2026-11-20T10:00:00']
    await refused(
      2,
      wrong.map((since) => `audit list --since ${since}`),
    )
    const part = await run(`audit list --user ${user.email} --since 2d --limit 1 -o ids`)
    const next = part.stderr.match(/→ (ch202 .*)$/m)?.[1]
    const rest = await instance.shell.run(`${next} -o ids`)
    expect([rest.status, rest.stdout === part.stdout]).toEqual([0, false])
  })

  test('is listed from a row on, oldest first, in pages', async () => {
    const [first = ''] = await written('test.after', 1)
    await written('test.after', 4)
    const read = async (query: string) => (await operator(`GET /admin/audit?type=test.after&${query}`)).body
    const page = await read(`after_id=${first}&size=3`)
    const rest = await read(`after_id=${first}&size=3&cursor=${page.next_cursor}`)
    expect([page.total, page.page, page.pages, rest.next_cursor]).toEqual([null, null, null, null])
    const seen = [...page.items, ...rest.items].map(({ id }: { id: string }) => id)
    expect([first, ...seen]).toEqual(await all('test.after'))
    expect((await read(`after_id=${seen.at(-1)}`)).items).toEqual([])
    for (const query of [`after_id=${crypto.randomUUID()}`, 'after_id=x', `after_id=${first}&page=1`])
      expect([query, (await read(query)).code]).toEqual([query, 'validation_failed'])
    const other = await operator(`GET /admin/audit?type=test.after&cursor=${page.next_cursor}`)
    expect(other.body.code).toBe('validation_failed')
  })

  test('is followed until Ctrl-C: each row once and in order, through a burst and a restart', async () => {
    await written('test.tailed', 12)
    const tail = (type: string) => instance.shell.start(`exec ch202 audit tail --type ${type} -o ids`)
    const [tailed, later] = [tail('test.tailed'), tail('test.later')]
    await tailed.printed(/\n/, 10)
    // More than two pages of one millisecond, between two polls.
    const [, , [first = '']] = await Promise.all([
      written('test.tailed', 450),
      written('test.unrelated', 20),
      written('test.later', 1),
    ])
    await tailed.printed(/\n/, 460)
    await later.printed(/\n/)
    expect(later.stdout()).toBe(`${first}\n`)

    await instance.system.kill('auth')
    await eventually(() => tailed.stderr().includes('waiting') || undefined)
    await instance.system.start('auth')
    await written('test.tailed', 3)
    await tailed.printed(/\n/, 463)
    for (const one of [tailed, later]) one.signal('SIGINT')
    const [{ status, stderr, stdout }, other] = await Promise.all([tailed.ended, later.ended])
    expect(ids(stdout)).toEqual((await all('test.tailed')).slice(2))
    expect([status, other.status]).toEqual([130, 130])
    expect(stderr).toMatch(/^The auth service does not answer at \S+: waiting for it\nauth responds again\n$/)
  })

  test('is followed from the middle of a burst on', async () => {
    const tailed = instance.shell.start('exec ch202 audit tail --type test.busy -o ids')
    while (ids(tailed.stdout()).length < 10) await written('test.busy', 4)
    const [last = ''] = await written('test.busy', 1)
    await tailed.printed(new RegExp(last))
    tailed.signal('SIGINT')
    const seen = ids((await tailed.ended).stdout)
    expect(seen).toEqual((await all('test.busy')).slice(-seen.length))
  })

  test('is followed without a failure when the reader closes the pipe', async () => {
    await written('test.piped', 1)
    const line = '(ch202 audit tail --type test.piped -o jsonl; echo "status $?" >&2) | head -1'
    const running = instance.shell.start(line)
    await running.printed(/test\.piped/)
    await written('test.piped', 1)
    const { stderr, stdout } = await running.ended
    expect([stdout.trim().split('\n').length, stderr]).toEqual([1, 'status 0\n'])
  })
})
