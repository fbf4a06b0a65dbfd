import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MINUTE } from '../../services/kit/clock.ts'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { openShell, type Shell } from '../support/shell.ts'
import { inProcess, type System } from '../support/system.ts'

setDefaultTimeout(120_000)

/** The time is that of this process: what it serves sees a login that is as old as a test wants. */
const clock = movingClock()
let system: System
let shell: Shell
const ADMIN = newEmail()

beforeAll(async () => {
  system = await inProcess({ RATE_LIMIT: 'off', REAUTH_MAX_AGE: '10m', LOG_LEVEL: 'silent' }, { clock })
  const { status } = await call(system.url.users, 'POST /api/v1/users', {
    headers: as.operator,
    body: { email: ADMIN, password: PASSWORD, roles: ['USER', 'ADMIN'] },
  })
  expect(status).toBe(201)
  // Without keys: the tool has the session of the context alone.
  shell = openShell('recent', { CH202_ENV: 'test' })
})
afterAll(async () => {
  shell?.close()
  await system?.stop()
})

const logIn = async () => {
  const line = `ch202 login ${system.url.auth} --email ${ADMIN} --password-stdin --name here`
  expect(await shell.run(line, { stdin: PASSWORD })).toMatchObject({ status: 0 })
}
const rotations = async () =>
  (await call(system.url.auth, 'GET /api/v1/admin/audit?type=key.rotated&size=1', { headers: as.operator })).body.total
const inTerminal = (line: string, typed: (readonly [RegExp, string])[]) =>
  shell.inTerminal(`ch202 ${line}`, { typed, env: { NO_COLOR: '1' } }).ended
const context = () =>
  JSON.parse(readFileSync(join(shell.env.XDG_CONFIG_HOME ?? '', 'ch202', 'contexts', 'here.json'), 'utf8'))

describe('13: a call that needs a recent login', () => {
  beforeEach(logIn)

  test('works at once after a login; later a terminal is asked for the password once, then the call is made once', async () => {
    expect(await shell.run('ch202 keys rotate --now --yes')).toMatchObject({ status: 0 })
    const before = [await rotations(), context()]
    clock.pass(11 * MINUTE)
    const { screen, status } = await inTerminal('keys rotate --now --yes', [[/Password of \S+/, `${PASSWORD}\r`]])
    expect([status, screen]).toEqual([0, expect.stringContaining(`Password of ${ADMIN}`)])
    expect(screen).not.toContain(PASSWORD)
    expect(await rotations()).toBe(before[0] + 1)
    // The session is the same one, with a new access token, which the next command uses without a question.
    const { access_token, refresh_token, session_id } = context()
    expect([session_id, refresh_token]).toEqual([before[1].session_id, before[1].refresh_token])
    expect(access_token).not.toBe(before[1].access_token)
    expect(await shell.run('ch202 keys rotate --now --yes')).toMatchObject({ status: 0 })
    expect(await rotations()).toBe(before[0] + 2)
  })

  test('is refused with status 4 without a terminal, and the message names what to do', async () => {
    const before = await rotations()
    clock.pass(11 * MINUTE)
    const { status, stderr, stdout } = await shell.run('ch202 keys rotate --now --yes')
    expect([status, stdout]).toEqual([4, ''])
    expect(stderr).toMatch(
      /^✗ .*log in again.*operator key \(reauthentication_required\)\n→ ch202 login \S+ --email \S+ --name here --password-stdin\n$/,
    )
    const form = JSON.parse((await shell.run('ch202 keys rotate --now --yes -o json')).stdout)
    expect(form.error).toMatchObject({
      code: 'reauthentication_required',
      suggestion: expect.stringContaining('ch202 login'),
    })
    expect(await rotations()).toBe(before)
    // What it names works as printed.
    const line = stderr.split('→ ')[1] ?? ''
    expect(await shell.run(line.trim(), { stdin: PASSWORD })).toMatchObject({ status: 0 })
    expect(await shell.run('ch202 keys rotate --now --yes')).toMatchObject({ status: 0 })
  })

  test('a token in the environment is not asked for a password', async () => {
    const { access_token } = context()
    clock.pass(11 * MINUTE)
    const env = { CH202_TOKEN: access_token, CH202_URL: system.url.auth }
    const { status, screen } = await shell.inTerminal('ch202 keys rotate --now --yes', { env }).ended
    expect([status, screen]).toEqual([4, expect.stringContaining('→ ch202 login')])
  })

  test('a wrong password changes nothing, and neither does Ctrl-C', async () => {
    const before = [await rotations(), context()]
    clock.pass(11 * MINUTE)
    const wrong = await inTerminal('keys rotate --now --yes', [[/Password of \S+/, 'wrong\r']])
    expect([wrong.status, wrong.screen]).toEqual([4, expect.stringContaining('(invalid_credentials)')])
    expect((await inTerminal('keys rotate --now --yes', [[/Password of \S+/, '\x03']])).status).toBe(130)
    expect([await rotations(), context()]).toEqual(before)
  })

  test('an invitation with roles needs it; one without roles does not, and reading does not', async () => {
    clock.pass(11 * MINUTE)
    expect(await shell.run('ch202 users list')).toMatchObject({ status: 0 })
    expect(await shell.run(`ch202 users invite ${newEmail()}`)).toMatchObject({ status: 0 })
    const line = `users invite ${newEmail()} --role USER`
    expect(await shell.run(`ch202 ${line}`)).toMatchObject({ status: 4 })
    expect((await inTerminal(line, [[/Password of \S+/, `${PASSWORD}\r`]])).status).toBe(0)
  })

  test('16: a client and its secret need it; listing clients does not', async () => {
    clock.pass(11 * MINUTE)
    expect(await shell.run('ch202 clients list')).toMatchObject({ status: 0 })
    const line = 'clients create reports --scope users:read'
    const refused = await shell.run(`ch202 ${line}`)
    expect([refused.status, refused.stdout]).toEqual([4, ''])
    expect(refused.stderr).toContain('→ ch202 login ')
    const { screen, status } = await inTerminal(line, [[/Password of \S+/, `${PASSWORD}\r`]])
    expect([status, screen]).toEqual([0, expect.stringMatching(/^client_secret {2}[\w-]{43}$/m)])
    expect(screen).not.toContain(PASSWORD)
    clock.pass(11 * MINUTE)
    for (const words of ['rotate-secret reports', 'update reports --scope metrics', 'delete reports --yes'])
      expect(await shell.run(`ch202 clients ${words}`)).toMatchObject({ status: 4, stdout: '' })
    expect(await shell.run('ch202 clients get reports')).toMatchObject({ status: 0 })
  })

  test('an import sends each user once after the question, and none without a terminal', async () => {
    const emails = Array.from({ length: 500 }, newEmail)
    const password_hash = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 4 })
    const lines = emails.map((email) => JSON.stringify({ email, password_hash })).join('\n')
    writeFileSync(join(shell.path, 'users.jsonl'), `${lines}\n`)
    const created = async () => {
      const answer = await call(system.url.users, 'GET /api/v1/users?size=1', { headers: as.operator })
      return answer.body.total
    }
    const before = await created()
    clock.pass(11 * MINUTE)
    expect(await shell.run('ch202 users import users.jsonl')).toMatchObject({ status: 4, stdout: '' })
    expect(await created()).toBe(before)
    const { screen, status } = await inTerminal('users import users.jsonl', [[/Password of \S+/, `${PASSWORD}\r`]])
    expect([status, screen]).toEqual([0, expect.stringMatching(/500 created, 0 updated/)])
    expect(await created()).toBe(before + 500)
  })

  test('an export with hashes asks beside its output', async () => {
    clock.pass(11 * MINUTE)
    const line = 'users export --with-hashes > export.jsonl'
    expect((await inTerminal(line, [[/Password of \S+/, `${PASSWORD}\r`]])).status).toBe(0)
    const exported = readFileSync(join(shell.path, 'export.jsonl'), 'utf8').trimEnd().split('\n')
    expect(exported.map((one) => JSON.parse(one).email)).toContain(ADMIN)
  })
})
