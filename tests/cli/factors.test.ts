import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { SECOND } from '../../services/kit/clock.ts'
import { createUser, logIn } from '../support/actors.ts'
import { enrolApp, enrolPasskey } from '../support/factors.ts'
import { as, call } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { addressSettings, OPERATOR_KEY } from '../support/settings.ts'
import { openShell, type Shell } from '../support/shell.ts'
import { inProcess, type System } from '../support/system.ts'

setDefaultTimeout(120_000)

const clock = movingClock()
let system: System
let shell: Shell
beforeAll(async () => {
  system = await inProcess({ RATE_LIMIT: 'off', LOG_LEVEL: 'silent' }, { clock })
  shell = openShell('factors', {
    ...addressSettings((name) => system.url[name]),
    OPERATOR_API_KEY: OPERATOR_KEY,
    CH202_ENV: 'test',
    NO_COLOR: '1',
  })
})
afterAll(async () => {
  shell?.close()
  await system?.stop()
})

async function userWithFactors() {
  const user = await createUser(system, { email_verified: true })
  const { recoveryCodes } = await enrolApp(system, user.tokens.access_token, clock.now())
  await enrolPasskey(system, user.tokens.access_token)
  clock.pass(30 * SECOND)
  return { ...user, recoveryCodes }
}

const factorsOf = async (id: string) =>
  (await call(system.url.auth, `GET /api/v1/admin/users/${id}/factors`, { headers: as.operator })).body
const asJson = async (line: string, stdin?: string) => {
  const { status, stderr, stdout } = await shell.run(`${line} -o json`, stdin === undefined ? {} : { stdin })
  expect([line, status, stderr]).toEqual([line, 0, ''])
  return JSON.parse(stdout)
}

describe('13: users factors list', () => {
  test('shows the factors of a user in each form', async () => {
    const user = await userWithFactors()
    const line = `ch202 users factors list ${user.email}`
    const [app, passkey] = (await factorsOf(user.id)).items
    expect(await asJson(line)).toEqual({ items: [app, passkey], recovery_codes_left: 10 })
    const table = await shell.run(line)
    expect([table.status, table.stderr]).toEqual([0, '10 recovery codes left\n'])
    expect(table.stdout.split('\n')).toEqual([
      expect.stringMatching(new RegExp(`^${app.id}  totp     Authenticator app  `)),
      expect.stringMatching(new RegExp(`^${passkey.id}  passkey  `)),
      '',
    ])
    expect((await shell.run(`${line} -o ids`)).stdout).toBe(`${app.id}\n${passkey.id}\n`)
    const [header, first] = (await shell.run(`${line} -o csv`)).stdout.split('\n')
    expect(header).toBe('id,kind,name,created_at,last_used_at,transports,backed_up')
    expect(first).toStartWith(`${app.id},totp,Authenticator app,`)
    expect((await shell.run(`${line} --fields kind,backed_up -o jsonl`)).stdout).toBe(
      '{"kind":"totp","backed_up":null}\n{"kind":"passkey","backed_up":false}\n',
    )
    expect((await shell.run(`${line} -q`)).stderr).toBe('')
  })

  test('says that a user has none, and what to do about an unknown user', async () => {
    const { email } = await createUser(system)
    const none = await shell.run(`ch202 users factors list ${email}`)
    expect(none).toMatchObject({ status: 0, stdout: '', stderr: `${email} has no second factor\n` })
    expect(await asJson(`ch202 users factors list ${email}`)).toEqual({ items: [], recovery_codes_left: 0 })
    const unknown = await shell.run('ch202 users factors list nobody@example.org')
    expect([unknown.status, unknown.stderr]).toEqual([3, expect.stringContaining('→ ch202 users list --search nobody')])
  })
})

describe('13: users factors reset', () => {
  test('removes factors and recovery codes and ends the sessions; a second time changes nothing', async () => {
    const user = await userWithFactors()
    expect((await logIn(system, user.email)).body.code).toBe('second_factor_required')
    const line = `ch202 users factors reset ${user.email} --yes`
    expect(await asJson(line)).toEqual({ ok: true, id: user.id, email: user.email, removed: 2, changed: true })
    expect(await factorsOf(user.id)).toEqual({ items: [], recovery_codes_left: 0 })
    const { status } = await call(system.url.auth, 'GET /auth/me', { headers: as.bearer(user.tokens.access_token) })
    expect([status, (await logIn(system, user.email)).status]).toEqual([401, 200])
    expect(await asJson(line)).toEqual({ ok: true, id: user.id, email: user.email, removed: 0, changed: false })
    const again = await shell.run(line)
    expect(again).toMatchObject({ status: 0, stderr: `${user.email} has no second factor: nothing was removed\n` })
    // Whoever has none keeps the sessions.
    const other = await createUser(system)
    await asJson(`ch202 users factors reset ${other.email} --yes`)
    const me = await call(system.url.auth, 'GET /auth/me', { headers: as.bearer(other.tokens.access_token) })
    expect(me.status).toBe(200)
  })

  test('asks in a terminal, and needs a flag elsewhere', async () => {
    const user = await userWithFactors()
    const line = `ch202 users factors reset ${user.email}`
    const refused = await shell.run(line)
    expect([refused.status, refused.stderr]).toEqual([2, expect.stringContaining('--yes or --confirm')])
    const declined = await shell.inTerminal(line, { typed: [[/Remove the 2 second factors of/, 'n']] }).ended
    expect([declined.status, (await factorsOf(user.id)).items.length]).toEqual([1, 2])
    const wrong = await shell.run(`${line} --confirm other@example.org`)
    expect([wrong.status, (await factorsOf(user.id)).items.length]).toEqual([2, 2])
    const done = await shell.inTerminal(line, { typed: [[/Remove the 2 second factors of/, 'y']] }).ended
    expect([done.status, (await factorsOf(user.id)).items.length]).toEqual([0, 0])
  })

  test('reads users from standard input', async () => {
    const [one, other] = [await userWithFactors(), await createUser(system)]
    const stdin = `${one.email}\nnobody@example.org\n${other.id}\n`
    const unconfirmed = await shell.run('ch202 users factors reset -', { stdin })
    expect([unconfirmed.status, unconfirmed.stderr]).toEqual([2, expect.stringContaining('--yes')])
    const { status, stdout } = await shell.run('ch202 users factors reset - --yes -o jsonl', { stdin })
    const rows = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect([status, rows.map(({ changed, ok }) => [ok, changed])]).toEqual([
      8,
      [
        [true, true],
        [false, undefined],
        [true, false],
      ],
    ])
    expect((await factorsOf(one.id)).items).toEqual([])
  })
})
