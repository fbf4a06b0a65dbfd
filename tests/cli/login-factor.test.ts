import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { MINUTE, SECOND } from '../../services/kit/clock.ts'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { type App, appWith, enrolPasskey } from '../support/factors.ts'
import { as, call } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { openShell, type Shell } from '../support/shell.ts'
import { inProcess, type System } from '../support/system.ts'

setDefaultTimeout(120_000)

const SECRET = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'

/** A system whose clock a test moves, with a shell that has no key. */
function operated(env: Record<string, string>) {
  const clock = movingClock()
  let system: System
  let shell: Shell
  beforeAll(async () => {
    system = await inProcess({ RATE_LIMIT: 'off', REAUTH_MAX_AGE: '10m', LOG_LEVEL: 'silent', ...env }, { clock })
    shell = openShell('factor', { CH202_ENV: 'test', NO_COLOR: '1' })
  })
  afterAll(async () => {
    shell?.close()
    await system?.stop()
  })
  const send = (place: 'auth' | 'users', request: string, body: object) =>
    call(system.url[place], request.replace(' ', ' /api/v1'), { headers: as.operator, body })
  return {
    clock,
    send,
    system: () => system,
    run: (line: string, stdin?: string) => shell.run(line, stdin === undefined ? {} : { stdin }),
    onScreen: (line: string, typed: (readonly [RegExp, string])[] = [], more = {}) =>
      shell.inTerminal(line, { typed, ...more }),
    login: (email: string, more = '') => `ch202 login ${system.url.auth} --email ${email} --name here${more}`,
    async newAdmin(fields = {}) {
      const body = { email: newEmail(), password: PASSWORD, roles: ['USER', 'ADMIN'], email_verified: true, ...fields }
      const { body: user, status } = await send('users', 'POST /users', body)
      expect(status).toBe(201)
      return user as { id: string; email: string }
    },
    async addApp(userId: string): Promise<App> {
      const { body, status } = await send('auth', `POST /admin/users/${userId}/factors`, { secret: SECRET })
      expect(status).toBe(201)
      return appWith({ id: body.id, secret: SECRET })
    },
    /** The code of now, which nobody has used: the clock moves on. */
    freshCode(app: App) {
      clock.pass(30 * SECOND)
      return app.codeAt(clock.now())
    },
  }
}

/** Enrols an app in a terminal as a person does: reads the key, types its code. */
async function enrolOnScreen(here: ReturnType<typeof operated>, email: string, more = {}) {
  const terminal = here.onScreen(here.login(email), [[/Password/, `${PASSWORD}\r`]], more)
  await terminal.shows(/Code that the app shows/)
  const secret = /key:\s+((?:[A-Z2-7]{4}\s*){8})/.exec(terminal.screen())?.[1]?.replaceAll(/\s/g, '') ?? ''
  return { terminal, app: appWith({ id: '', secret }) }
}

describe('13: a login of an account with a second factor', () => {
  const here = operated({})

  test('asks for the code, and again after a wrong one', async () => {
    const { email, id } = await here.newAdmin()
    const app = await here.addApp(id)
    const { screen, status } = await here.onScreen(here.login(email), [
      [/Password/, `${PASSWORD}\r`],
      [/Code of your app/, '000000\r'],
      [/Wrong, or used before[\s\S]*Code of your app/, `${here.freshCode(app)}\r`],
    ]).ended
    expect([status, screen]).toEqual([0, expect.stringContaining('session_id')])
    expect(await here.run('ch202 users list')).toMatchObject({ status: 0 })
  })

  test('ends after three wrong codes, with what to do', async () => {
    const { email, id } = await here.newAdmin()
    await here.addApp(id)
    const { screen, status } = await here.onScreen(here.login(email), [
      [/Password/, `${PASSWORD}\r`],
      [/Code of your app/, '000000\r'],
      [/Wrong[\s\S]*Code of your app/, '000001\r'],
      // Not the line of the question before, which is drawn again with the answer (◇).
      [/◇[\s\S]*◆\s+Wrong[\s\S]*Code of your app/, '000002\r'],
    ]).ended
    expect([status, screen]).toEqual([4, expect.stringMatching(/\(invalid_code.*\)\s+→ ch202 login /)])
  })

  test('without a terminal is refused, and the message names a terminal and the operator key', async () => {
    const { email, id } = await here.newAdmin()
    await here.addApp(id)
    const { status, stderr, stdout } = await here.run(here.login(email, ' --password-stdin'), PASSWORD)
    expect([status, stdout]).toEqual([4, ''])
    expect(stderr).toMatch(
      /^✗ .*terminal.*OPERATOR_API_KEY.*\(second_factor_required\)\n→ ch202 login \S+ --email \S+\n$/,
    )
    const form = JSON.parse((await here.run(here.login(email, ' --password-stdin -o json'), PASSWORD)).stdout)
    expect(form.error.code).toBe('second_factor_required')
  })

  test('takes a recovery code of an account with passkeys alone', async () => {
    const { email } = await here.newAdmin()
    const { body } = await here.send('auth', 'POST /auth/login', { email, password: PASSWORD })
    await enrolPasskey(here.system(), body.access_token)
    const headers = as.bearer(body.access_token)
    const answer = await call(here.system().url.auth, 'POST /api/v1/auth/recovery-codes', { headers })
    const [code] = answer.body.recovery_codes
    const typed = [[/Password/, `${PASSWORD}\r`] as const, [/Recovery code/, `${code}\r`] as const]
    expect((await here.onScreen(here.login(email), typed).ended).status).toBe(0)
  })

  test('a call that needs a recent login asks for the code, and not for the password', async () => {
    const { email, id } = await here.newAdmin()
    const app = await here.addApp(id)
    const code = here.freshCode(app)
    const login = here.onScreen(here.login(email), [
      [/Password/, `${PASSWORD}\r`],
      [/Code of your app/, `${code}\r`],
    ])
    expect((await login.ended).status).toBe(0)
    expect(await here.run('ch202 keys rotate --now --yes')).toMatchObject({ status: 0 })
    here.clock.pass(11 * MINUTE)
    const refused = await here.run('ch202 keys rotate --now --yes')
    expect([refused.status, refused.stdout]).toEqual([4, ''])
    // A password from standard input would not be enough.
    expect(refused.stderr).toMatch(
      /^✗ .*in a terminal.*operator key \(reauthentication_required\)\n→ ch202 login \S+ --email \S+ --name here\n$/,
    )
    const { screen, status } = await here.onScreen('ch202 keys rotate --now --yes', [
      [/Code of your app/, '000000\r'],
      [/Wrong, or used before[\s\S]*Code of your app/, `${here.freshCode(app)}\r`],
    ]).ended
    expect([status, screen]).toEqual([0, expect.not.stringContaining('Password')])
    expect(await here.run('ch202 keys rotate --now --yes')).toMatchObject({ status: 0 })
  })

  test('a session from before the factor is asked for its code too', async () => {
    const { email, id } = await here.newAdmin()
    expect(await here.run(here.login(email, ' --password-stdin'), PASSWORD)).toMatchObject({ status: 0 })
    const app = await here.addApp(id)
    expect((await here.run('ch202 keys rotate --now --yes')).stderr).toContain('(reauthentication_required)')
    const typed = [[/Code of your app/, `${here.freshCode(app)}\r`] as const]
    expect((await here.onScreen('ch202 keys rotate --now --yes', typed).ended).status).toBe(0)
  })
})

describe('13: a login of an account that must have a second factor', () => {
  const here = operated({ MFA: 'admins' })

  test('adds an app in the terminal, prints the recovery codes once, and continues', async () => {
    const { email } = await here.newAdmin()
    const { app, terminal } = await enrolOnScreen(here, email)
    expect(terminal.screen()).toMatch(/█▀▀|▄▄▄/)
    terminal.type('000000\r')
    await terminal.shows(/Wrong[\s\S]*Code that the app shows/)
    terminal.type(`${app.codeAt(here.clock.now())}\r`)
    const { screen, status } = await terminal.ended
    const codes = screen.match(/\b([a-z2-7]{4}-){5}[a-z2-7]{4}\b/g) ?? []
    expect([status, new Set(codes).size, codes.length]).toEqual([0, 10, 10])
    expect(screen).toContain('session_id')
    // The session has shown the factor: it may do everything.
    expect(await here.run('ch202 keys rotate --now --yes')).toMatchObject({ status: 0 })
    const typed = [[/Password/, `${PASSWORD}\r`] as const, [/Code of your app/, `${codes[0]}\r`] as const]
    expect((await here.onScreen(here.login(email), typed).ended).status).toBe(0)
  })

  test('draws no code that a narrow terminal would break', async () => {
    const { email } = await here.newAdmin()
    const { app, terminal } = await enrolOnScreen(here, email, { cols: 40 })
    expect(terminal.screen()).not.toMatch(/█▀▀|▄▄▄/)
    terminal.type(`${app.codeAt(here.clock.now())}\r`)
    expect((await terminal.ended).status).toBe(0)
  })

  test('is refused without a terminal, and the message names the page', async () => {
    const { email } = await here.newAdmin()
    const { status, stderr, stdout } = await here.run(here.login(email, ' --password-stdin'), PASSWORD)
    expect([status, stdout]).toEqual([4, ''])
    expect(stderr).toContain(`${here.system().url.web}/sign-in`)
    expect(stderr).toMatch(/OPERATOR_API_KEY.*\(second_factor_enrolment_required\)\n→ ch202 login \S+ --email \S+\n$/)
  })

  test('must verify the email first', async () => {
    const { email } = await here.newAdmin({ email_verified: false })
    const { status, stderr } = await here.run(here.login(email, ' --password-stdin'), PASSWORD)
    expect([status, stderr]).toEqual([5, expect.stringContaining('(email_not_verified')])
  })
})

describe('13: a session without a second factor, once MFA asks for one', () => {
  const here = operated({ MFA: 'admins' })

  test('is told to log in again to add one, and is not asked for a password', async () => {
    const { email, id } = await here.newAdmin({ roles: ['USER'] })
    const { body } = await here.send('auth', 'POST /auth/login', { email, password: PASSWORD })
    const { body: user } = await here.send('users', `PATCH /users/${id}`, { roles: ['USER', 'ADMIN'] })
    expect(user.roles).toContain('ADMIN')
    // The tool refuses to log in whoever is no administrator, so the test writes the context.
    const app = await enrolOnScreen(here, (await here.newAdmin()).email)
    app.terminal.type(`${app.app.codeAt(here.clock.now())}\r`)
    await app.terminal.ended
    const context = `$XDG_CONFIG_HOME/ch202/contexts/here.json`
    const fields = {
      email,
      user_id: id,
      ...body,
      access_until: Date.now() + MINUTE,
      session_until: Date.now() + MINUTE,
    }
    const merge = `Object.assign(JSON.parse(require('fs').readFileSync(f)), ${JSON.stringify(fields)})`
    const script = `const f = process.argv[1]; require('fs').writeFileSync(f, JSON.stringify(${merge}))`
    expect(await here.run(`'${process.execPath}' -e '${script.replaceAll("'", "'\\''")}' "${context}"`)).toMatchObject({
      status: 0,
    })
    const { screen, status } = await here.onScreen('ch202 keys list').ended
    expect([status, screen]).toEqual([
      4,
      expect.stringMatching(/has none[\s\S]*→ ch202 login \S+ --email \S+ --name here/),
    ])
    expect(screen).not.toContain('Password')
  })
})
