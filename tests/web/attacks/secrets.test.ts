import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Canaries, filesUnder } from '../../security/canaries.ts'
import { newEmail } from '../../support/actors.ts'
import { invitation, nextMail } from '../../support/challenges.ts'
import { appWith } from '../../support/factors.ts'
import { as } from '../../support/http.ts'
import { movingClock } from '../../support/moving-clock.ts'
import { databaseRows } from '../../support/postgres/database-rows.ts'
import { running } from '../../support/running.ts'
import { INTERNAL_KEY, LAYOUTS, OPERATOR_KEY, SECRET } from '../../support/settings.ts'
import { inProcess, type System } from '../../support/system.ts'
import { COOKIES, type Sent, type Visit, Visitor } from './visitor.ts'

const HOUR = 3_600_000

/** A browser that keeps what it gets, for a search. */
class Recorder extends Visitor {
  readonly visits: { path: string; visit: Visit }[] = []

  /** @param afterVisit is called after each request */
  constructor(
    system: System,
    private readonly afterVisit: () => Promise<void>,
  ) {
    super(system)
  }

  override async send(method: string, path: string, headers: Sent = {}, body?: string | Uint8Array): Promise<Visit> {
    const visit = await super.send(method, path, headers, body)
    this.visits.push({ path: `${method} ${path}`, visit })
    await this.afterVisit()
    return visit
  }

  override copy(): Recorder {
    throw new Error('A copy would record elsewhere')
  }
}

describe.each(LAYOUTS)('secrets of the pages, services %s', (layout) => {
  const clock = movingClock()
  const here = running((env) => inProcess(env, { layout, clock }), {
    RATE_LIMIT: 'off',
    EMAIL_LOGIN: 'on',
    DEVICE_TRUST: 'pages',
    LOG_LEVEL: 'trace',
  })

  test('check 48: passwords, tokens, codes and ids of challenges stand in no page, address, readable cookie or log', async () => {
    const canaries = new Canaries()
    let serial = 0
    const secret = (what: string) => {
      const value = `canary ${what} ${++serial} ${Math.random().toString(36).slice(2)}`
      canaries.add(`${what} ${serial}`, value)
      return value
    }
    const { system } = here
    for (const [what, value] of Object.entries({ INTERNAL_KEY, OPERATOR_KEY, SECRET })) canaries.add(what, value)
    // A challenge that was used is stored no longer, so its id is read before.
    const ids = new Set<string>()
    const readIds = async () => {
      for (const { id } of await databaseRows<{ id: string }>(system, 'auth', 'SELECT id FROM challenges')) ids.add(id)
    }
    const visitor = new Recorder(system, readIds)
    const see = (what: string, { status }: Visit, expected: number) => expect([what, status]).toEqual([what, expected])
    const [email, new_email] = [newEmail(), newEmail()]
    let password = secret('password')

    // A sign-up, the confirmation of its address by the code, and a second browser.
    see('sign-up', await visitor.fill('/sign-up', { email, password, name: 'Ana' }), 303)
    await visitor.get('/verify-email')
    see('wrong code', await visitor.post('/verify-email', { code: '000001' }), 401)
    const verification = await nextMail(system, email, 0, 'verify-email')
    canaries.add('token of the verification', verification.token)
    see('code', await visitor.post('/verify-email', { code: verification.code }), 303)
    const wrong = secret('wrong password')
    const second = new Recorder(system, readIds)
    see('wrong password', await second.fill('/sign-in', { login: email, password: wrong }), 401)
    see('sign-in', await second.fill('/sign-in', { login: email, password }), 303)
    const device = await nextMail(system, email, 1)
    await second.get('/sign-in?step=device')
    see('device', await second.post('/sign-in', { step: 'device', code: device.code }), 303)
    canaries.add('token of the device', second.cookies.get(COOKIES.device) ?? '')
    // A code, and a link.
    const third = new Recorder(system, readIds)
    see('code is sent', await third.fill('/sign-in', { step: 'email', email }), 303)
    const signIn = await nextMail(system, email, 0, 'sign-in-link')
    canaries.add('token of the sign-in', signIn.token)
    await third.get(`/sign-in?step=code`)
    see('code', await third.post('/sign-in', { step: 'code', code: signIn.code }), 303)
    // A change of the password, and one of the address, which is undone.
    const changed = secret('new password')
    see('security', await visitor.fill('/account/security', { current_password: password, new_password: changed }), 303)
    password = changed
    clock.pass(HOUR)
    see('no password', await visitor.fill('/account', { action: 'email', new_email }), 401)
    const other = secret('other password')
    see('wrong', await visitor.post('/account', { action: 'email', new_email, confirm_password: other }), 401)
    see('email', await visitor.post('/account', { action: 'email', new_email, confirm_password: password }), 303)
    const change = await nextMail(system, new_email, 0, 'confirm-email')
    canaries.add('token of the change', change.token)
    await visitor.get('/account?step=code')
    see('change', await visitor.post('/account', { action: 'code', code: change.code }), 303)
    const undo = await nextMail(system, email, 0, 'undo-email')
    canaries.add('token of the undo', undo.token)
    const owner = new Recorder(system, readIds)
    see('undo', await owner.fill(`/undo-email?token=${undo.token}`, { token: undo.token }), 200)
    // A reset, an invitation, and the end.
    see('forgot', await owner.fill('/forgot-password', { email }), 200)
    const reset = await nextMail(system, email, 1, 'reset-password').catch(() =>
      nextMail(system, email, 0, 'reset-password'),
    )
    canaries.add('token of the reset', reset.token)
    const resetTo = secret('reset password')
    see(
      'reset',
      await owner.fill(`/reset-password?token=${reset.token}`, { token: reset.token, new_password: resetTo }),
      303,
    )
    const invitedEmail = newEmail()
    const token = await invitation(system, invitedEmail)
    canaries.add('token of the invitation', token)
    const invited = new Recorder(system, readIds)
    const invitedTo = secret('password of the invited')
    see('invitation', await invited.fill(`/invitation?token=${token}`, { token, new_password: invitedTo }), 303)
    // An app: its key and the recovery codes stand in the one page that is there to show them.
    const step = '/account/security?step=app'
    see('app', await invited.fill(step, { action: 'app' }), 303)
    const key = /class="key">([A-Z2-7 ]+)</.exec((await invited.get(step)).text)?.[1]?.replaceAll(' ', '') ?? ''
    canaries.add('key of the app', key)
    const { codeAt } = appWith({ id: '', secret: key })
    see('wrong code of the app', await invited.post(step, { action: 'app-code', code: '0' }), 401)
    const codes = await invited.post(step, { action: 'app-code', code: codeAt(clock.now()) })
    see('code of the app', codes, 200)
    for (const [, code = ''] of codes.text.matchAll(/<li><code>([a-z2-7-]{29})</g)) canaries.add('recovery code', code)
    expect(codes.text.match(/<li><code>/g)).toHaveLength(10)
    clock.pass(60_000)
    const fourth = new Recorder(system, readIds)
    see('first step', await fourth.fill('/sign-in', { login: invitedEmail, password: invitedTo }), 303)
    await fourth.get('/sign-in?step=factor')
    see('wrong second factor', await fourth.post('/sign-in', { step: 'factor', code: '0' }), 401)
    see('second factor', await fourth.post('/sign-in', { step: 'factor', code: codeAt(clock.now()) }), 303)
    for (const path of ['/account', '/account/security', '/account/sessions', '/account/modules', '/account/export'])
      see(path, await invited.get(path), 200)
    clock.pass(HOUR)
    await invited.get('/account')
    see('sign-out', await invited.post('/sign-out', {}), 303)

    expect(ids.size).toBeGreaterThanOrEqual(7)
    for (const id of ids) canaries.add('id of a challenge', id)
    const browsers = [visitor, second, third, fourth, owner, invited]
    for (const { path, visit } of browsers.flatMap(({ visits }) => visits)) {
      const isOfApp = path.endsWith(step)
      const ofLink = [...canaries.in(path), ...(isOfApp ? ['key of the app', 'recovery code'] : [])]
      // The page of a link holds the token of its own link, to send it with its form.
      expect([path, canaries.in(visit.text, ofLink)]).toEqual([path, []])
      expect([path, canaries.in(visit.location)]).toEqual([path, []])
      expect(visit.text).not.toMatch(/eyJ[\w-]{10,}/)
      for (const [name, value] of visit.headers) {
        // Cookies that the browser alone keeps.
        const ofBrowser = name === 'set-cookie' && value.startsWith(`${COOKIES.device}=`) ? ['token of the device'] : []
        expect([path, name, canaries.in(value, ofBrowser)]).toEqual([path, name, []])
        // Sealed values cannot be read: neither as text nor in base64.
        expect([path, name, /eyJ[\w-]{10,}\./.test(value)]).toEqual([path, name, false])
      }
      expect([path, visit.headers.get('cache-control')]).toEqual([path, 'no-store'])
      // Challenges of passkeys are no secrets: browsers sign them.
      if (visit.headers.get('content-type')?.startsWith('text/html'))
        expect(visit.text.replaceAll(/data-options="[^"]*"/g, '')).not.toContain('challenge')
    }
    expect(canaries.in(here.system.output())).toEqual([])
    expect(here.system.output()).toContain('"service":"web"')
    for (const value of [verification.code, device.code, signIn.code, change.code])
      expect(here.system.output()).not.toMatch(new RegExp(`"${value}"|=${value}\\b`))
    const logs = filesUnder(join(system.dataDir)).filter((path) => path.includes('log'))
    for (const path of logs) expect([path, canaries.in(readFileSync(path))]).toEqual([path, []])
  }, 120_000)

  test('check 48: a fault of the API shows a request id, and neither JSON nor a stack', async () => {
    const visitor = new Visitor(here.system)
    await visitor.fill('/sign-up', { email: newEmail(), password: 'correct horse battery' })
    await visitor.get('/account')
    if (layout === 'together') return expect((await visitor.get('/account')).status).toBe(200)
    await here.system.terminate('auth')
    try {
      const { headers, status, text } = await visitor.get('/account')
      expect(status).toBe(503)
      expect(text).toContain(headers.get('x-request-id') ?? '-')
      expect(text).not.toMatch(/\{"|statusCode|\bat .*\.ts|127\.0\.0\.1|ECONN/)
      const login = await visitor.post('/sign-out', {})
      // The browser loses the session even now.
      expect([login.status, visitor.cookies.has(COOKIES.session)]).toEqual([303, false])
    } finally {
      await here.system.start('auth')
    }
  })

  test('check 48: a page ignores credentials in headers', async () => {
    const visitor = new Visitor(here.system)
    await visitor.fill('/sign-up', { email: newEmail(), password: 'correct horse battery' })
    for (const headers of [as.internal, as.operator, { authorization: 'Bearer x' }]) {
      expect((await new Visitor(here.system, headers).get('/account')).location).toBe('/sign-in')
      expect((await new Visitor(here.system, headers).get('/account/export')).status).toBe(303)
    }
  })
})
