import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { createUser, logIn, newEmail, PASSWORD } from '../support/actors.ts'
import { eventually, PROMPT } from '../support/eventually.ts'
import { enrolApp, enrolPasskey } from '../support/factors.ts'
import { as, call } from '../support/http.ts'
import { databaseRows, databaseSetting } from '../support/postgres/database-rows.ts'
import { processes } from '../support/processes.ts'
import { openShell } from '../support/shell.ts'
import type { System } from '../support/system.ts'
import { ownSettings, runTool, temporary } from '../support/tool.ts'

setDefaultTimeout(120_000)

const NEW = 'another horse battery'
const folder = temporary('recover')
afterAll(() => folder.remove())

/** Runs `recover` on the machine without the operator key. */
function recover(system: System, words: string[], stdin?: string) {
  const { OPERATOR_API_KEY: _, ...env } = ownSettings(system.dataDir, databaseSetting(system))
  return runTool(['recover', ...words], { env, ...(stdin === undefined ? {} : { stdin }) })
}

async function locked(system: System, email: string): Promise<void> {
  for (let guess = 0; guess < 10; guess++) await logIn(system, email, 'a wrong guess')
  expect((await logIn(system, email)).status).toBe(429)
}

const patch = (system: System, id: string, body: object) =>
  call(system.url.users, `PATCH /users/${id}`, { headers: as.operator, body })

/** Four processes for most tests: those that stop services start them again. */
let system: System
beforeAll(async () => {
  system = await processes('apart')
})
afterAll(() => system?.stop())

describe('recover, with four processes up', () => {
  test('ends the lockout of an administrator at once', async () => {
    const admin = await createUser(system, { roles: ['USER', 'ADMIN'], username: 'root', name: 'Root' })
    await locked(system, admin.email)
    const { status, stdout, stderr } = await recover(
      system,
      [admin.email.toUpperCase(), '--password-stdin', '-o', 'json'],
      NEW,
    )
    expect([status, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toMatchObject({
      id: admin.id,
      email: admin.email,
      name: 'Root',
      roles: ['USER', 'ADMIN'],
      created: false,
      in_effect: true,
      changed: true,
    })
    expect(stdout).not.toContain(NEW)
    // The new password works, the old one does not, and all earlier sessions have ended.
    expect((await logIn(system, admin.email, NEW)).status).toBe(200)
    expect((await logIn(system, admin.email)).status).toBe(401)
    const bearer = { headers: as.bearer(admin.tokens.access_token) }
    expect((await call(system.url.auth, 'GET /auth/me', bearer)).status).toBe(401)
    expect((await call(system.url.modules, 'GET /modules/', bearer)).status).toBe(401)
    const spent = { body: { refresh_token: admin.tokens.refresh_token } }
    expect((await call(system.url.auth, 'POST /auth/refresh', spent)).status).toBe(401)
    const audit = `GET /admin/audit?user_id=${admin.id}&type=user.recovered`
    const items = await eventually(async () => {
      const { body } = await call(system.url.auth, audit, { headers: as.operator })
      return body.items.length > 0 ? body.items : undefined
    })
    expect(items).toEqual([expect.objectContaining({ actor: 'cli', user_id: admin.id, ip: null })])
  })

  test('makes a disabled user without the role ADMIN an active administrator', async () => {
    const user = await createUser(system, { roles: ['EDITOR'] })
    expect((await patch(system, user.id, { status: 'disabled' })).status).toBe(200)
    const { status, stdout } = await recover(system, [user.email, '--generate', '-o', 'json'])
    const output = JSON.parse(stdout)
    expect([status, output.roles, output.status]).toEqual([0, ['EDITOR', 'ADMIN'], 'active'])
    expect(output.password).toMatch(/^[\w-]{24}$/)
    const { body } = await logIn(system, user.email, output.password)
    const users = await call(system.url.users, 'GET /users?size=1', { headers: as.bearer(body.access_token) })
    expect(users.status).toBe(200)
  })

  test('exits 3 for an unknown user, changes nothing, and names the flag that creates one', async () => {
    const email = newEmail()
    const { status, stdout, stderr } = await recover(system, [email, '--generate'])
    expect([status, stdout]).toEqual([3, ''])
    expect(stderr).toContain('--create')
    const wrong = await recover(system, ['no-email', '--generate', '--create'])
    expect([wrong.status, wrong.stdout, wrong.stderr]).toEqual([1, '', expect.stringContaining('email must be')])
    const result = await recover(system, [email, '--generate', '--create', '-o', 'json'])
    const { created, password, roles } = JSON.parse(result.stdout)
    expect([result.status, created, roles]).toEqual([0, true, ['USER', 'ADMIN']])
    expect((await logIn(system, email, password)).status).toBe(200)
  })
})

describe('recover', () => {
  test('with the services down takes effect when they start', async () => {
    const admin = await createUser(system, { roles: ['ADMIN'] })
    await locked(system, admin.email)
    // Only auth runs: its cache is updated without users.
    await system.terminate('users')
    const first = await recover(system, [admin.email, '--password-stdin', '-o', 'json'], NEW)
    expect(JSON.parse(first.stdout)).toMatchObject({ in_effect: true })
    expect((await logIn(system, admin.email, NEW)).status).toBe(200)

    await system.kill('auth')
    const second = await recover(system, [admin.email, '--password-stdin'], `${NEW} 2`)
    expect([second.status, second.stderr]).toEqual([0, expect.stringContaining('when the services run')])
    expect(second.took).toBeLessThan(PROMPT)
    const mails = `SELECT payload FROM outbox WHERE kind = 'account_mail' ORDER BY seq DESC LIMIT 1`
    const [mail] = await databaseRows<{ payload: string }>(system, 'users', mails)
    expect(JSON.parse(mail?.payload ?? '{}')).toMatchObject({
      kind: 'notice',
      cause: 'password_changed',
      userId: admin.id,
      email: admin.email,
      ip: null,
    })
    await Promise.all([system.start('auth'), system.start('users')])
    expect((await logIn(system, admin.email, NEW)).status).toBe(401)
    expect((await logIn(system, admin.email, `${NEW} 2`)).status).toBe(200)
  })

  test('creates no instance', async () => {
    const dataDir = folder.fresh()
    const { status, stdout, stderr } = await runTool(['recover', 'a@example.org', '--generate', '--create'], {
      env: ownSettings(dataDir),
    })
    expect([status, stdout]).toEqual([1, ''])
    expect(stderr).toContain('CH202_DATA_DIR')
    expect(existsSync(dataDir)).toBe(false)
  })
})

describe('13: recover, of an administrator with second factors', () => {
  async function adminWithFactors() {
    const admin = await createUser(system, { roles: ['USER', 'ADMIN'], email_verified: true })
    await enrolApp(system, admin.tokens.access_token, Date.now())
    await enrolPasskey(system, admin.tokens.access_token)
    return admin
  }
  const factorsOf = async (id: string) =>
    (await call(system.url.auth, `GET /admin/users/${id}/factors`, { headers: as.operator })).body

  test('leaves them without the flag, and says that the login will ask', async () => {
    const { email, id } = await adminWithFactors()
    const { status, stderr, stdout } = await recover(system, [email, '--password-stdin'], NEW)
    expect([status, stderr]).toEqual([
      0,
      expect.stringMatching(/login asks for the second factor.*\n→ ch202 recover \S+ --remove-factors/),
    ])
    expect(stdout).toMatch(/^removed_factors +0$/m)
    expect((await factorsOf(id)).items).toHaveLength(2)
    expect((await logIn(system, email, NEW)).body.code).toBe('second_factor_required')
  })

  test('removes them with the flag, also while the services are down, and the audit says so', async () => {
    const { email, id } = await adminWithFactors()
    await Promise.all([system.terminate('auth'), system.terminate('users')])
    const { status, stderr, stdout } = await recover(
      system,
      [email, '--remove-factors', '--password-stdin', '-o', 'json'],
      NEW,
    )
    expect([status, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toMatchObject({ id, removed_factors: 2, has_second_factor: false, in_effect: false })
    await Promise.all([system.start('auth'), system.start('users')])
    expect(await factorsOf(id)).toEqual({ items: [], recovery_codes_left: 0 })
    expect((await logIn(system, email, NEW)).status).toBe(200)
    const audit = `GET /admin/audit?user_id=${id}&type=factors.reset`
    const { body } = await call(system.url.auth, audit, { headers: as.operator })
    expect(body.items).toEqual([
      expect.objectContaining({ actor: 'cli', user_id: id, ip: null, detail: { factors: 2 } }),
    ])
    // A second time there is nothing to remove, and no row says that there was.
    const again = await recover(system, [email, '--remove-factors', '--password-stdin', '-o', 'json'], NEW)
    expect([again.status, JSON.parse(again.stdout).removed_factors]).toEqual([0, 0])
    expect((await call(system.url.auth, audit, { headers: as.operator })).body.items).toHaveLength(1)
  })

  test('asks in a terminal', async () => {
    const { email, id } = await adminWithFactors()
    const shell = openShell('recover', ownSettings(system.dataDir, databaseSetting(system)))
    const answer = async (removes: 'y' | 'n') => {
      const typed = [
        [/Give \S+ a new password/, 'y'] as const,
        [/Also remove the second factors and passkeys/, removes] as const,
      ]
      return (await shell.inTerminal(`ch202 recover ${email} --generate`, { typed }).ended).status
    }
    try {
      expect([await answer('n'), (await factorsOf(id)).items.length]).toEqual([0, 2])
      expect([await answer('y'), (await factorsOf(id)).items.length]).toEqual([0, 0])
    } finally {
      shell.close()
    }
  })

  test('says what MFA will ask of whoever has none', async () => {
    const verified = await createUser(system, { roles: ['ADMIN'], email_verified: true })
    const env = { ...ownSettings(system.dataDir, databaseSetting(system)), MFA: 'admins' }
    const run = (email: string) => runTool(['recover', email, '--password-stdin'], { env, stdin: NEW })
    expect((await run(verified.email)).stderr).toContain('login asks to add a second factor')
    const unverified = await createUser(system, { roles: ['ADMIN'] })
    const { stderr } = await run(unverified.email)
    expect(stderr).toMatch(/email must be verified.*\n→ ch202 users update \S+ --verified/)
  })
})

describe('a new password', () => {
  let system: System
  beforeAll(async () => {
    system = await processes('together')
  })
  afterAll(() => system.stop())

  test('must obey the rules, and must be given', async () => {
    const { email } = await createUser(system, { roles: ['ADMIN'] })
    for (const [password, message] of [
      ['password1', /too easy to guess/],
      ['short', /at least|longer than or equal to 8/],
      [email.split('@')[0], /too easy to guess/],
    ] as const) {
      const { status, stdout, stderr } = await recover(system, [email, '--password-stdin'], password)
      expect([password, status, stdout, stderr]).toEqual([password, 1, '', expect.stringMatching(message)])
      expect(stderr).not.toContain(`${password}\n`)
    }
    const { status, stderr } = await recover(system, [email])
    expect([status, stderr]).toEqual([2, expect.stringMatching(/--password-stdin.*--generate/)])
    expect((await logIn(system, email)).status).toBe(200)
  })

  test('ends a pause of logins, whoever sets it, and no other change does', async () => {
    const user = await createUser(system)
    await locked(system, user.email)
    for (const body of [{ status: 'disabled' }, { status: 'active' }, { roles: ['USER', 'EDITOR'] }, { name: 'N.' }])
      expect((await patch(system, user.id, body)).status).toBe(200)
    expect((await logIn(system, user.email)).status).toBe(429)
    const set = { headers: as.operator, body: { new_password: NEW } }
    expect((await call(system.url.users, `POST /users/${user.id}/set-password`, set)).status).toBe(204)
    expect((await logIn(system, user.email, NEW)).status).toBe(200)
    expect((await logIn(system, user.email, PASSWORD)).status).toBe(401)
  })
})
