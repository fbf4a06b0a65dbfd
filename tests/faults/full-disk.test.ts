import { Database } from 'bun:sqlite'
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { expectOAuthProblem, expectProblem, OAUTH_CALL } from '../support/expectations.ts'
import { type Answer, as, call } from '../support/http.ts'
import { ownSettings, runTool, temporary } from '../support/tool.ts'
import { sliced } from '../support/whole.ts'
import { endAndRemove } from './left-behind.ts'
import { fileSizeLimit, type SmallDisk, tmpfs } from './small-disk.ts'

setDefaultTimeout(120_000)

const folder = temporary('full')
afterAll(() => endAndRemove(folder))

const TOOL = [process.execPath, 'cli/main.ts']
const NAMES = ['auth', 'users', 'modules'] as const
const NEW = 'another phrase of four'

const mounted = await tmpfs(folder.fresh())
if (!mounted)
  console.warn('full-disk: no tmpfs can be mounted here; the disk is full by a limit on the size of files alone')
const DISKS: [how: string, disk: SmallDisk][] = [['a limit on the size of files', fileSizeLimit(folder.fresh())]]
if (mounted) DISKS.unshift(['a tmpfs', mounted])
afterAll(async () => {
  for (const [, disk] of DISKS) await disk.remove()
})

interface Somebody {
  id: string
  email: string
  access: string
  refresh: string
  session: string
}

type Ask = (request: string, options?: Parameters<typeof call>[2]) => Promise<Answer>

async function registered(ask: Ask): Promise<Somebody> {
  const email = newEmail()
  const { body } = await ask('POST /auth/register', { body: { email, password: PASSWORD } })
  const { access_token: access, refresh_token: refresh, session_id: session } = body.tokens
  return { id: body.id, email, access, refresh, session }
}

const operator = { headers: as.operator }

/** Every write, and its status when there is room. */
const writes = (one: Somebody): [request: string, options: Parameters<typeof call>[2], status: number][] => [
  ['POST /auth/login', { body: { login: one.email, password: PASSWORD } }, 200],
  ['POST /auth/login', { body: { login: one.email, password: 'not the right one' } }, 401],
  ['POST /auth/login', { body: { login: `no-${one.email}`, password: PASSWORD } }, 401],
  ['POST /auth/refresh', { body: { refresh_token: one.refresh } }, 200],
  ['POST /auth/register', { body: { email: `1-${one.email}`, password: PASSWORD } }, 201],
  ['POST /users', { ...operator, body: { email: `2-${one.email}`, password: PASSWORD } }, 201],
  ['POST /modules', { ...operator, body: { id: 'later', name: 'Later', description: 'Of the tests' } }, 201],
  ['POST /modules/full/enable', { headers: as.bearer(one.access) }, 200],
  ['PATCH /modules/full', { ...operator, body: { name: 'Fuller' } }, 200],
  ['POST /auth/password-reset-request', { body: { email: one.email } }, 202],
  // An unknown email must not be distinguishable from a known one.
  ['POST /auth/password-reset-request', { body: { email: `no-${one.email}` } }, 202],
  ['POST /admin/keys/rotate', operator, 201],
  ['POST /admin/keys/rotate?now=true', operator, 201],
  ['POST /admin/password-cache/sync', { ...operator, body: {} }, 200],
  [`PATCH /users/${one.id}`, { ...operator, body: { name: 'Another' } }, 200],
  [
    `POST /users/${one.id}/change-password`,
    { headers: as.bearer(one.access), body: { current_password: PASSWORD, new_password: NEW } },
    204,
  ],
  ['POST /auth/logout', { headers: as.bearer(one.access) }, 204],
  ['POST /auth/revoke', { body: { token: one.refresh } }, 200],
  [`POST /users/${one.id}/set-password`, { ...operator, body: { new_password: NEW } }, 204],
  [`PATCH /users/${one.id}`, { ...operator, body: { status: 'disabled' } }, 200],
  [`DELETE /auth/sessions?user_id=${one.id}`, operator, 200],
  [`DELETE /admin/password-cache/${one.id}`, operator, 204],
  ['DELETE /modules/full', operator, 204],
  [`DELETE /users/${one.id}`, operator, 204],
]

const reads = (one: Somebody): [request: string, options: Parameters<typeof call>[2]][] => [
  ['GET /auth/me', { headers: as.bearer(one.access) }],
  ['POST /auth/validate-token', { body: { token: one.access } }],
  [`GET /users/${one.id}`, { headers: as.bearer(one.access) }],
  [`GET /users?search=${one.email}`, operator],
  ['GET /modules/', { headers: as.bearer(one.access) }],
  [`GET /modules/users/${one.id}`, operator],
  ['GET /auth/sessions', { headers: as.bearer(one.access) }],
  [`GET /auth/sessions?user_id=${one.id}`, operator],
  ['GET /admin/keys', operator],
]

/** Answers of the reads, without fields that change with time. */
const read = async (ask: Ask, one: Somebody) => {
  const answers: unknown[] = []
  for (const [request, options] of reads(one)) {
    const { body, status } = await ask(request, options)
    answers.push([request, status, body])
  }
  return answers
}

describe.each(sliced(DISKS, 2))('check 33: an instance on a full disk, by %s', (_, disk) => {
  const env = ownSettings(disk.dataDir, { LOG_FORMAT: 'json' })
  const base = env.CH202_URL ?? ''
  const ask: Ask = (request, options) => call(`${base}/api/v1`, request, options)
  const start = async () => {
    const running = disk.launch([...TOOL, 'serve'], env)
    await running.printed(/ready at/)
    return running
  }
  const damages = () =>
    NAMES.flatMap((name) => {
      const copy = folder.fresh()
      for (const end of ['', '-wal']) disk.copy(`${name}.sqlite${end}`, copy + end)
      const database = new Database(copy)
      const result = database.query<{ integrity_check: string }, []>('PRAGMA integrity_check').get()?.integrity_check
      database.close()
      return result === 'ok' ? [] : [`${name}: ${result}`]
    })

  test('refuses writes, answers reads, and recovers when there is room', async () => {
    const running = await start()
    await ask('POST /modules', { ...operator, body: { id: 'full', name: 'Full', description: 'Of the tests' } })
    const [one, other] = [await registered(ask), await registered(ask)]
    const before = [await read(ask, one), await read(ask, other)]
    const keys = await call(base, 'GET /.well-known/jwks.json')

    await disk.fill()
    for (const [request, options] of writes(one)) {
      const answer = await ask(request, options)
      expect([request, answer.status]).toEqual([request, 503])
      if (OAUTH_CALL.test(request.replace('POST ', '')))
        expectOAuthProblem(answer, 503, 'database_unavailable', 'temporarily_unavailable')
      else expectProblem(answer, 503, 'database_unavailable')
    }
    expectProblem(await call(base, 'GET /health/db'), 503, 'database_unavailable')
    expect((await call(base, 'GET /health')).status).toBe(200)
    // No refused write has taken effect, neither now nor when there is room.
    const expectUnchanged = async () => {
      expect([await read(ask, one), await read(ask, other)]).toEqual(before)
      expect((await call(base, 'GET /.well-known/jwks.json')).body).toEqual(keys.body)
      for (const email of [`1-${one.email}`, `2-${one.email}`])
        expect((await ask(`GET /users/by-email/${email}`, operator)).status).toBe(404)
    }
    await expectUnchanged()

    await disk.free()
    await eventually(async () => (await call(base, 'GET /health/db')).status === 200 || undefined)
    await expectUnchanged()
    // Log lines that did not fit are counted, and later lines are in the file again.
    await running.printed(/"event":"log.lines_lost","count":\d+/)
    for (const [request, options, status] of writes(one)) {
      const answer = await ask(request, options)
      expect([request, answer.status]).toEqual([request, status])
    }
    const changed = await read(ask, other)
    expect((await ask(`GET /users/${one.id}`, operator)).status).toBe(404)

    running.signal('SIGKILL')
    await running.ended
    expect(damages()).toEqual([])
    const again = await start()
    expect(await read(ask, other)).toEqual(changed)
    expect((await ask('POST /auth/refresh', { body: { refresh_token: other.refresh } })).status).toBe(200)
    expect((await ask(`GET /users/${one.id}`, operator)).status).toBe(404)
    expect((await ask(`GET /users/by-email/1-${one.email}`, operator)).status).toBe(200)
    expect((await ask('POST /auth/login', { body: { login: `2-${one.email}`, password: PASSWORD } })).status).toBe(200)
    again.signal('SIGTERM')
    expect((await again.ended).status).toBe(0)
  })

  test('stops in an orderly way, and keeps every acknowledged write', async () => {
    const running = await start()
    const one = await registered(ask)
    await disk.fill()
    expect((await ask('POST /auth/refresh', { body: { refresh_token: one.refresh } })).status).toBe(503)
    running.signal('SIGTERM')
    const { status, stderr } = await running.ended
    expect([status, stderr]).toEqual([0, ''])
    await disk.free()
    expect(damages()).toEqual([])
    const again = await start()
    expect((await ask('POST /auth/refresh', { body: { refresh_token: one.refresh } })).status).toBe(200)
    again.signal('SIGTERM')
    await again.ended
  })
})

test('checks 33 and 34: a notice waits for a service whose disk is full, and arrives when there is room', async () => {
  const disk = fileSizeLimit(folder.fresh())
  const env = ownSettings(disk.dataDir, { LOG_LEVEL: 'silent' })
  const { AUTH_URL: auth = '', USERS_URL: users = '' } = env
  // Only the files of auth are limited in size.
  const { stdout } = await runTool(['migrate', '-o', 'json'], { env })
  expect(stdout).toContain('auth')
  const full = disk.launch([...TOOL, 'serve', 'auth'], env)
  const other = fileSizeLimit(disk.dataDir).launch([...TOOL, 'serve', 'users'], env)
  await Promise.all([full.printed(/ready at/), other.printed(/ready at/)])
  const one = await registered((request, options) => call(`${auth}/api/v1`, request, options))

  await disk.fill()
  const disabled = await call(users, `PATCH /users/${one.id}`, { ...operator, body: { status: 'disabled' } })
  expect([disabled.status, disabled.body.status]).toEqual([200, 'disabled'])
  expect((await call(auth, 'POST /login', { body: { login: one.email, password: PASSWORD } })).status).toBe(503)
  await disk.free()
  await eventually(async () => {
    const { status } = await call(auth, 'GET /auth/me', { headers: as.bearer(one.access) })
    return status === 401 || undefined
  })
  const login = await call(auth, 'POST /login', { body: { login: one.email, password: PASSWORD } })
  expectProblem(login, 403, 'account_disabled')
  for (const running of [full, other]) running.signal('SIGTERM')
  expect((await full.ended).status).toBe(0)
  expect((await other.ended).status).toBe(0)
})

describe.skipIf(!mounted)('a read-only data directory', () => {
  test.each([
    ['at the first start', false],
    ['where an instance was', true],
  ])('%s: is named in the error, and no service starts', async (_, used) => {
    const disk = await tmpfs(folder.fresh())
    if (!disk) throw new Error('There was one before')
    const env = ownSettings(disk.dataDir)
    if (used) expect((await disk.launch([...TOOL, 'migrate'], env).ended).status).toBe(0)
    const before = disk.names()
    await disk.lock()
    const { status, stdout, stderr } = await disk.launch([...TOOL, 'serve'], env).ended
    expect([status, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(new RegExp(`^✗ .*${disk.dataDir}.*(read-only|readonly)`, 'm'))
    expect(disk.names()).toEqual(before)
    await disk.remove()
  })
})

describe('a first start on a full disk', () => {
  test('fails cleanly under a limit on the size of files', async () => {
    const dataDir = folder.fresh()
    mkdirSync(dataDir)
    const command = 'trap "" XFSZ; ulimit -f 24; exec "$@"'
    const disk = fileSizeLimit(dataDir)
    await refusesAtFirst(disk, ['sh', '-c', command, 'sh', ...TOOL, 'serve'])
  })

  if (mounted)
    test('fails cleanly on a tmpfs', async () => {
      const disk = await tmpfs(folder.fresh(), 64 * 1024)
      if (!disk) throw new Error('There was one before')
      await refusesAtFirst(disk, [...TOOL, 'serve'])
      await disk.remove()
    })

  /** Expects no half-created database, and an error that names the file. */
  async function refusesAtFirst(disk: SmallDisk, command: string[]) {
    const env = ownSettings(disk.dataDir)
    const { status, stdout, stderr } = await disk.launch(command, env).ended
    expect([status, stdout]).toEqual([1, expect.not.stringContaining('ready')])
    expect(stderr).toMatch(new RegExp(`^✗ ${disk.dataDir}/\\w+\\.sqlite cannot be opened: .*(full|disk I/O)`, 'm'))
    expect(disk.names().filter((name) => name.includes('.sqlite'))).toEqual([])
    expect(existsSync(join(disk.dataDir, 'run', 'auth.json'))).toBe(false)
  }
})
