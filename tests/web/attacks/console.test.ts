import { beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { ACTIONS } from '../../../services/web/pages/console/actions.ts'
import { en } from '../../../services/web/texts/en.ts'
import { ru } from '../../../services/web/texts/ru.ts'
import { createUser, logIn, newEmail, PASSWORD, type TestUser } from '../../support/actors.ts'
import { eventually } from '../../support/eventually.ts'
import { appWith, enrolApp } from '../../support/factors.ts'
import { as, byOperator } from '../../support/http.ts'
import { mailsTo } from '../../support/mails.ts'
import { movingClock } from '../../support/moving-clock.ts'
import { running } from '../../support/running.ts'
import { inProcess } from '../../support/system.ts'
import { CANARY, expectNoMarkup, SHORT } from './markup.ts'
import { stored } from './stored.ts'
import { giveRoles, hiddenFields, newPerson, type Person, signIn, type Visit, Visitor } from './visitor.ts'

const SUPPORT = 'SUPPORT'
/** Milliseconds after which a person must authenticate again: more than `REAUTH_MAX_AGE`. */
const LATER = 11 * 60_000

/** A text as it stands in a page. */
const inPage = (text: string) => text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;')

function expectNotFound({ headers, status, text }: Visit): void {
  expect(status).toBe(404)
  expect(headers.get('content-type')).toBe('text/html; charset=utf-8')
  expect(text).toContain(en.failure.notFound)
  expect(text).not.toContain(en.console.title)
}

/** The actions of the forms of a page. */
const actionsOf = ({ text }: Visit) => new Set(hiddenFields(text, 'action'))

describe('the support console', () => {
  const clock = movingClock()
  const here = running((env) => inProcess(env, { clock }), { RATE_LIMIT: 'off', SUPPORT_ROLE: SUPPORT })
  const personWith = async (...roles: string[]): Promise<Person & { id: string }> => {
    const person = await newPerson(here.system)
    return { ...person, id: await giveRoles(here.system, person, roles) }
  }
  const pageOf = ({ id }: { id: string }) => `/console/users/${id}`
  const auditOf = async (id: string): Promise<{ type: string; actor: string }[]> =>
    (await here.auth(`GET /admin/audit?user_id=${id}`, byOperator())).body.items
  let supporter: Person & { id: string }
  let admin: Person & { id: string }
  let user: TestUser
  beforeEach(async () => {
    admin = await personWith('ADMIN')
    supporter = await personWith('USER', SUPPORT)
    user = await createUser(here.system)
  })

  test.each([
    ['USER', 404],
    [`${SUPPORT}_2`, 404],
    ['ADMIN_2', 404],
    ['SUPPORTER', 404],
    [SUPPORT, 200],
    ['ADMIN', 200],
  ])('with the role %s is answered %d', async (role, status) => {
    const { visitor } = await personWith(...new Set(['USER', role]))
    for (const path of ['/console', '/console/', '/console?search=a', '/console/invite', pageOf(user)]) {
      const answer = await visitor.get(path)
      expect([path, answer.status]).toEqual([path, status])
      if (status === 404) expect(answer.text).toBe((await visitor.get('/nowhere')).text)
    }
    const account = await visitor.get('/account')
    expect(account.text.includes('href="/console"')).toBe(status === 200)
    if (status === 200) return
    const before = await stored(here.system)
    for (const [path, fields] of [
      [pageOf(user), { action: 'disable' }],
      ['/console/invite', { email: newEmail() }],
    ] as const)
      expectNotFound(await visitor.post(path, fields))
    expect(await stored(here.system)).toEqual(before)
  })

  test('sends who is not signed in to the sign-in, from which they come back', async () => {
    for (const path of ['/console', '/console?search=ana', '/console/invite', pageOf(user)]) {
      const { location, status } = await new Visitor(here.system).get(path)
      expect([status, location]).toEqual([303, `/sign-in?return_to=${encodeURIComponent(path)}`])
    }
    const visitor = new Visitor(here.system)
    const path = '/console?search=ana'
    const fields = { login: supporter.email, password: PASSWORD, return_to: path }
    expect((await visitor.fill('/sign-in', fields)).location).toBe(path)
    expect((await visitor.get(path)).status).toBe(200)
  })

  test('closes with the request after the one that took the role away', async () => {
    expect((await supporter.visitor.get(pageOf(user))).status).toBe(200)
    await giveRoles(here.system, supporter, ['USER'])
    expectNotFound(await supporter.visitor.get(pageOf(user)))
    expectNotFound(await supporter.visitor.post(pageOf(user), { action: 'disable' }))
  })

  test('finds users by a part of their names and by their id, page by page', async () => {
    const mark = `p${Math.random().toString(36).slice(2, 8)}`
    const emails: string[] = []
    for (let n = 0; n < 45; n++) {
      const email = `${mark}-${n + 10}@example.org`
      const body = { email, ...(n === 44 ? { name: 'Élodie', username: `${mark}.e` } : {}) }
      expect((await here.users('POST /users', byOperator(body))).status).toBe(201)
      emails.push(email)
    }
    const listed = ({ text }: Visit) => [...text.matchAll(/<strong>([^<]*@[^<]*)<\/strong>/g)].map(([, email]) => email)
    const { visitor } = supporter
    const walked: unknown[] = []
    let path: string | undefined = `/console?search=${mark.toUpperCase()}`
    while (path !== undefined) {
      const page: Visit = await visitor.get(path)
      expect(page.status).toBe(200)
      walked.push(...listed(page))
      path = /href="(\/console\?[^"]*cursor=[^"]+)"/.exec(page.text)?.[1]?.replaceAll('&amp;', '&')
    }
    expect(walked).toEqual(emails.toReversed())
    for (const search of [`${mark}.e`, 'Élodie', emails[44]])
      expect(listed(await visitor.get(`/console?search=${encodeURIComponent(String(search))}`))).toEqual([emails[44]])
    for (const id of [user.id, user.id.toUpperCase(), ` ${user.id} `])
      expect(listed(await visitor.get(`/console?search=${encodeURIComponent(id)}`))).toEqual([user.email])
    expect(listed(await visitor.get(`/console?search=${Bun.randomUUIDv7()}`))).toEqual([])
    const changed = await visitor.get(`/console?search=${mark}&cursor=${mark}`)
    expect([changed.status, changed.location]).toEqual([303, `/console?search=${mark}`])
    const long = await visitor.get(`/console?search=${'x'.repeat(201)}`)
    expect(long.status).toBe(400)
    expect(long.text).toContain(en.errors.too_long(200))
  })

  test('shows support people nobody with ADMIN or with their own role, and changes nothing of them', async () => {
    const other = await personWith('USER', SUPPORT)
    for (const { email, id } of [admin, other, supporter]) {
      const path = pageOf({ id })
      for (const search of [email, id]) {
        const { status, text } = await supporter.visitor.get(`/console?search=${encodeURIComponent(search)}`)
        expect([status, text.includes(en.console.users.none)]).toEqual([200, true])
      }
      expectNotFound(await supporter.visitor.get(path))
      await supporter.visitor.get('/console')
      const before = await stored(here.system)
      for (const action of [...Object.keys(ACTIONS), 'end-session'])
        expectNotFound(await supporter.visitor.post(path, { action, session_id: 'x' }))
      const sessions = (await here.auth(`GET /auth/sessions?user_id=${id}`, byOperator())).body.items
      if (id !== supporter.id)
        for (const { id: session_id } of sessions) {
          const answer = await supporter.visitor.post(pageOf(user), { action: 'end-session', session_id })
          expect([answer.status, answer.text.includes(en.problems.session_not_found)]).toEqual([404, true])
        }
      const invited = await supporter.visitor.post('/console/invite', { email })
      expect([invited.status, invited.text.includes(inPage(en.console.invite.taken))]).toEqual([409, true])
      expect(await stored(here.system)).toEqual(before)
    }
  })

  test('shows an administrator everyone, with the second factors of each', async () => {
    const other = await personWith('USER', 'ADMIN')
    for (const path of [pageOf(other), pageOf(supporter), pageOf(user), pageOf(admin)]) {
      const { status, text } = await admin.visitor.get(path)
      expect([path, status, text.includes(en.console.user.factors)]).toEqual([path, 200, true])
    }
    expect((await supporter.visitor.get(pageOf(user))).text).not.toContain(en.console.user.factors)
    expect(actionsOf(await admin.visitor.get(pageOf(admin)))).toEqual(new Set(['reset']))
  })

  test('has a form for nothing else: no export, no roles, keys, passwords or deletion', async () => {
    await logIn(here.system, user.email)
    const page = await admin.visitor.get(pageOf(user))
    expect(actionsOf(page)).toEqual(new Set(['reset', 'end-sessions', 'disable', 'end-session']))
    const before = await stored(here.system)
    for (const action of ['delete', 'export', 'roles', 'set-password', 'factors', 'keys', '', '__proto__', 'toString'])
      for (const fields of [
        {} as Record<string, string>,
        { roles: 'ADMIN', password: PASSWORD, new_password: PASSWORD, status: 'disabled' },
      ]) {
        const answer = await admin.visitor.post(pageOf(user), { ...fields, action })
        expect([action, answer.status]).toEqual([action, 400])
      }
    expect(await stored(here.system)).toEqual(before)
    // Fields that a form does not have are not passed on.
    const email = newEmail()
    await admin.visitor.post('/console/invite', { email, roles: 'ADMIN', app_metadata: '{}', status: 'disabled' })
    const { body } = await here.users(`GET /users/by-email/${email}`, byOperator())
    expect(body).toMatchObject({ roles: ['USER'], status: 'active', app_metadata: {} })
  })

  test('does what its buttons say, and the audit names the person', async () => {
    const { visitor } = supporter
    const path = pageOf(user)
    await visitor.get(path)
    const done = async (fields: Record<string, string>, word: string) => {
      const { location, status } = await visitor.post(path, fields)
      expect([status, location]).toEqual([303, `${path}?done=${word}`])
      expect((await visitor.get(location)).text).toContain(en.done[word as 'disabled'])
    }
    await done({ action: 'reset' }, 'reset-sent')
    expect(await eventually(() => mailsTo(here.system, user.email).length === 1)).toBe(true)
    await done({ action: 'end-session', session_id: user.tokens.session_id }, 'session-ended')
    expect((await here.auth('GET /auth/me', { headers: as.bearer(user.tokens.access_token) })).status).toBe(401)
    const again = (await logIn(here.system, user.email)).body
    await done({ action: 'end-sessions' }, 'sessions-ended')
    expect((await here.auth('GET /auth/me', { headers: as.bearer(again.access_token) })).status).toBe(401)
    await done({ action: 'disable' }, 'disabled')
    expect((await logIn(here.system, user.email)).body.code).toBe('account_disabled')
    await done({ action: 'enable' }, 'enabled')
    expect((await logIn(here.system, user.email)).status).toBe(200)
    const types = ['password.reset_sent', 'session.revoked', 'user.disabled', 'user.enabled']
    const ofSupporter = async () => (await auditOf(user.id)).filter(({ actor }) => actor === `user:${supporter.id}`)
    const rows = await eventually(async () => {
      const current = await ofSupporter()
      return types.every((type) => current.some((row) => row.type === type)) ? current : undefined
    })
    expect(new Set(rows.map(({ type }) => type))).toEqual(new Set(types))
    const { text } = await visitor.get(path)
    expect(text.split(`${en.console.by} ${en.console.actors.you}`)).toHaveLength(rows.length + 1)
    // Another administrator reads who it was.
    expect((await admin.visitor.get(path)).text).toContain(
      `<a href="/console/users/${supporter.id}">${supporter.email}`,
    )
  })

  test('invites, and again who has no password yet', async () => {
    const email = newEmail()
    const { visitor } = supporter
    const { location, status } = await visitor.fill('/console/invite', { email, name: 'Vera' })
    const { body } = await here.users(`GET /users/by-email/${email}`, byOperator())
    expect([status, location, body.name]).toEqual([303, `${pageOf(body)}?done=invited`, 'Vera'])
    // A later invitation takes the place of one that was not sent yet.
    expect(await eventually(() => mailsTo(here.system, email).length === 1)).toBe(true)
    expect(actionsOf(await visitor.get(location))).toEqual(new Set(['reset', 'invite', 'end-sessions', 'disable']))
    expect((await visitor.post(pageOf(body), { action: 'invite' })).location).toBe(`${pageOf(body)}?done=invited`)
    expect(await eventually(() => mailsTo(here.system, email).length === 2)).toBe(true)
    const rows = (await auditOf(body.id)).filter(({ type }) => type === 'user.invited')
    expect(rows.map(({ actor }) => actor)).toEqual(Array(2).fill(`user:${supporter.id}`))
  })

  test('needs a recent sign-in, and a form that comes too late loses nothing', async () => {
    const { visitor } = supporter
    await visitor.get(pageOf(user))
    clock.pass(LATER)
    const before = await stored(here.system)
    for (const path of ['/console', '/console?search=a%20b&cursor=x', '/console/invite', pageOf(user)]) {
      const { location, status } = await visitor.get(path)
      expect([status, location]).toEqual([303, `/sign-in?step=again&return_to=${encodeURIComponent(path)}`])
    }
    const again = await visitor.get(`/sign-in?step=again&return_to=${encodeURIComponent(pageOf(user))}`)
    expect(again.text).toContain(en.console.again.hint)
    const typed = { email: newEmail(), name: `Vera ${SHORT}` }
    const refused = await visitor.post('/console/invite', typed)
    expect(refused.status).toBe(401)
    expectNoMarkup(refused, 'confirmation')
    expect(refused.text).toContain(`name="email" value="${typed.email}"`)
    expect(refused.text).toContain(`name="name" value="${inPage(typed.name)}"`)
    expect(refused.text).not.toContain('aria-invalid')
    const empty = await visitor.post('/console/invite', { ...typed, confirm_password: '' })
    expect([empty.status, empty.text.includes('id="again-error"')]).toEqual([400, true])
    expect(empty.text).toContain(en.errors.required(undefined))
    expect(empty.text).toContain(`name="email" value="${typed.email}"`)
    const wrong = await visitor.post('/console/invite', { ...typed, confirm_password: 'a wrong password' })
    expect([wrong.status, wrong.text.includes(en.problems.wrong_password)]).toEqual([401, true])
    expect(wrong.text).toContain(`name="email" value="${typed.email}"`)
    expect(wrong.text).not.toContain('a wrong password')
    expect((await visitor.post(pageOf(user), { action: 'disable' })).text).toContain(en.console.actions.disable.submit)
    expect(await stored(here.system)).toEqual(before)
    const { location, status } = await visitor.post('/console/invite', { ...typed, confirm_password: PASSWORD })
    expect([status, location.endsWith('?done=invited')]).toEqual([303, true])
    expect((await here.users(`GET /users/by-email/${typed.email}`, byOperator())).body.name).toBe(typed.name)
    expect((await visitor.get('/console')).status).toBe(200)
  })

  test('keeps what was typed through a new sign-in', async () => {
    const { visitor } = supporter
    await visitor.get('/console/invite')
    await here.auth(`DELETE /auth/sessions?user_id=${supporter.id}`, byOperator())
    const email = newEmail()
    const { location } = await visitor.post('/console/invite', { email, name: 'Vera & Co' })
    const return_to = new URLSearchParams(location.split('?')[1]).get('return_to') ?? ''
    const signedIn = await visitor.fill(location, { login: supporter.email, password: PASSWORD, return_to })
    const { text } = await visitor.get(signedIn.location)
    expect(text).toContain(`value="${email}"`)
    expect(text).toContain('value="Vera &amp; Co"')
  })

  test('opens only with the second factor of someone who has one', async () => {
    const { email, visitor } = supporter
    await here.users(`PATCH /users/${supporter.id}`, byOperator({ email_verified: true }))
    const { access_token } = (await logIn(here.system, email)).body
    const { app } = await enrolApp(here.system, access_token, clock.now())
    await visitor.get('/account')
    // The session of the browser did not see it.
    const { location } = await visitor.get(pageOf(user))
    expect(location).toBe(`/sign-in?step=again&return_to=${encodeURIComponent(pageOf(user))}`)
    const before = await stored(here.system)
    const { status, text } = await visitor.post(pageOf(user), { action: 'disable', confirm_password: PASSWORD })
    expect([status, text.includes('name="confirm_code"')]).toEqual([401, true])
    const empty = await visitor.post(pageOf(user), { action: 'disable', confirm_code: '', confirm_credential: '' })
    expect([empty.status, empty.text.includes(en.errors.required(undefined))]).toEqual([400, true])
    expect(await stored(here.system)).toEqual(before)
    clock.pass(60_000)
    const confirm_code = app.codeAt(clock.now())
    expect((await visitor.post(pageOf(user), { action: 'disable', confirm_code })).status).toBe(303)
    expect((await visitor.get(pageOf(user))).status).toBe(200)
  })

  test('does nothing with a form that is sent after the sign-out, or in the session of someone else', async () => {
    const { visitor } = supporter
    const path = pageOf(user)
    await visitor.get(path)
    const { token } = visitor
    const before = visitor.copy()
    await visitor.post('/sign-out', {})
    const unchanged = await stored(here.system)
    for (const browser of [visitor.copy(), before]) {
      const { location, status } = await browser.post(path, { action: 'disable', form_token: token })
      expect([status, location.split('?')[0]]).toEqual([303, '/sign-in'])
    }
    expect(await stored(here.system)).toEqual(unchanged)
    await signIn(visitor, admin.email)
    const signedIn = await stored(here.system)
    expect((await visitor.post(path, { action: 'disable', form_token: token })).status).toBe(403)
    expect(await stored(here.system)).toEqual(signedIn)
  })

  test('shows names, addresses and browsers as text', async () => {
    const name = CANARY.slice(0, 200)
    // Characters of HTML and of shells that emails may have.
    const odd = "a'b`reboot`&x@example.org"
    expect((await here.users('POST /users', byOperator({ email: odd, name }))).status).toBe(201)
    await here.users(`PATCH /users/${user.id}`, byOperator({ name }))
    for (const password of [PASSWORD, 'a wrong password'])
      await here.auth('POST /auth/login', {
        headers: { 'user-agent': `Mozilla/5.0 ${CANARY}`.slice(0, 250) },
        body: { login: user.email, password },
      })
    for (const [visitor, path] of [
      [supporter.visitor, `/console?search=${encodeURIComponent('data-canary')}`],
      [supporter.visitor, pageOf(user)],
      [admin.visitor, pageOf(user)],
      [supporter.visitor, `${pageOf(user)}?cursor=${encodeURIComponent(CANARY)}&done=${encodeURIComponent(SHORT)}`],
      [supporter.visitor, `/console?search=${encodeURIComponent(CANARY)}`],
      [supporter.visitor, `/console/invite?email=${encodeURIComponent(SHORT)}&name=${encodeURIComponent(CANARY)}`],
    ] as const) {
      const page = await visitor.get(path)
      expectNoMarkup(page, path)
      expect([path, page.status, page.text.includes('data-canary')]).toEqual([path, 200, true])
    }
    for (const action of ['disable', CANARY, SHORT]) {
      const page = await supporter.visitor.post(pageOf(user), { action, session_id: SHORT, [SHORT]: SHORT })
      expectNoMarkup(page, action)
    }
    const { body } = await here.users(`GET /users?search=${encodeURIComponent('reboot')}`, byOperator())
    const { text } = await supporter.visitor.get(pageOf(body.items[0]))
    // An email that begins like an option of a command is named by its id.
    const dashed = (await here.users('POST /users', byOperator({ email: `-rf${newEmail()}` }))).body
    const commands = (await supporter.visitor.get(pageOf(dashed))).text
    for (const command of ['audit explain', 'users send-reset', 'sessions revoke --user', 'users disable'])
      expect(commands).toContain(`ch202 ${command} ${dashed.id}<`)
    // Only an invitation is by the email alone.
    expect(commands).toContain(`ch202 users invite -- ${dashed.email}<`)
    // A command with characters of the shell is one word of it.
    expect(text).toContain(inPage("users disable 'a'\\''b`reboot`&x@example.org'"))
  })

  test.each([
    ['', true],
    ['Ana', true],
    ["O'Neill; `reboot` $(reboot)", true],
    ['a\x03curl x|sh\ra', false],
    ['a\nb', false],
    ['a\x1b[201~b', false],
    ['a\x7fb', false],
    ['a\x9bb', false],
    ['a\u2028b', false],
    ['a\u2029b', false],
  ])('offers no command to copy that a terminal would not take as text: %j', async (name, hasCommand) => {
    const query = new URLSearchParams({ name, email: 'vera@example.org' })
    const { status, text } = await supporter.visitor.get(`/console/invite?${query}`)
    expect([status, text.includes('ch202 users invite'), text.includes('data-does="copy"')]).toEqual([
      200,
      hasCommand,
      hasCommand,
    ])
  })

  test('what support people did is not said of an administrator, in any language', async () => {
    const { body } = await here.users('POST /users', byOperator({ email: newEmail() }))
    const { visitor } = supporter
    await visitor.get(pageOf(body))
    for (const action of ['reset', 'invite']) expect((await visitor.post(pageOf(body), { action })).status).toBe(303)
    const { text } = await visitor.get(pageOf(body))
    for (const type of ['password.reset_sent', 'user.invited'] as const) {
      expect(text).toContain(inPage(en.activity[type]))
      for (const { activity } of [en, ru]) expect(activity[type]).not.toMatch(/administrator|администратор/i)
    }
  })

  test('has a page at no other address', async () => {
    for (const path of [
      '/console/users/',
      '/console/users/x',
      '/console/users/..%2f..%2fkeys',
      '/console/users/%00',
      '/console/users/by-email',
      `/console/users/${'a'.repeat(3000)}`,
      `/console/users/${Bun.randomUUIDv7()}`,
      `/console/users/${Bun.randomUUIDv7()}/roles`,
      '/console/users/export',
      '/console/x',
      '/Console',
    ]) {
      const answer = await supporter.visitor.get(path)
      expect([path, answer.status]).toEqual([path, 404])
      expectNotFound(answer)
    }
  })

  test('is at its addresses for every browser, whatever it accepts', async () => {
    for (const path of [pageOf(user), '/console', '/console/invite']) {
      const { headers, status } = await supporter.visitor.get(path, { accept: '*/*' })
      expect([path, status, headers.get('content-type')]).toEqual([path, 200, 'text/html; charset=utf-8'])
    }
  })

  test('reads the audit page by page', async () => {
    for (let n = 0; n < 25; n++) await logIn(here.system, user.email, 'a wrong password')
    const rowsOf = ({ text }: Visit) => text.slice(text.indexOf('id="audit"')).split('<time').length - 1
    const { visitor } = supporter
    const first = await visitor.get(pageOf(user))
    expect(rowsOf(first)).toBe(20)
    const [, next = ''] = /href="(\/console\/users\/[^"]*cursor=[^"#]+)/.exec(first.text) ?? []
    const second = await visitor.get(next)
    expect(rowsOf(second)).toBeWithin(6, 20)
    expect(second.text).toContain(en.security.newest)
  })
})

describe('the support console without the setting', () => {
  const here = running(inProcess, { RATE_LIMIT: 'off' })

  test('is for administrators alone', async () => {
    const [supporter, admin] = [await newPerson(here.system), await newPerson(here.system)]
    await giveRoles(here.system, supporter, ['USER', SUPPORT])
    await giveRoles(here.system, admin, ['ADMIN'])
    expectNotFound(await supporter.visitor.get('/console'))
    expect((await admin.visitor.get('/console')).status).toBe(200)
  })
})

describe('the support console where administrators must have a second factor', () => {
  const here = running(inProcess, { RATE_LIMIT: 'off', MFA: 'admins' })

  test('says so to one who has none, and opens with the session that adds one', async () => {
    const admin = await newPerson(here.system)
    const id = await giveRoles(here.system, admin, ['ADMIN'])
    await here.users(`PATCH /users/${id}`, byOperator({ email_verified: true }))
    const { visitor } = admin
    for (const path of ['/console', '/console/invite', `/console/users/${id}`]) {
      const { status, text } = await visitor.get(path)
      expect([path, status, text.includes(en.console.enrol.title)]).toEqual([path, 403, true])
    }
    const page = '/account/security?step=app'
    await visitor.fill(page, { action: 'app' })
    const [, secret = ''] = /<code class="key">([^<]*)</.exec((await visitor.get(page)).text) ?? []
    const app = appWith({ id: '', secret: secret.replaceAll(' ', '') })
    expect((await visitor.post(page, { action: 'app-code', code: app.codeAt(Date.now()) })).status).toBe(200)
    expect((await visitor.get('/console')).status).toBe(200)
  })
})

describe('a problem of the API in the support console', () => {
  const here = running((env) => inProcess(env, { layout: 'apart' }), { RATE_LIMIT: 'on', SUPPORT_ROLE: SUPPORT })
  let admin: Person & { id: string }
  beforeAll(async () => {
    const person = await newPerson(here.system)
    admin = { ...person, id: await giveRoles(here.system, person, ['ADMIN']) }
  })
  const post = async (id: string, fields: Record<string, string>) => {
    const { visitor } = admin
    await visitor.get('/console/invite')
    return await visitor.post(`/console/users/${id}`, fields)
  }

  test.each([
    ['reset', async (id: string) => disable(id), 403, en.problems.account_disabled],
    ['invite', async () => undefined, 409, en.problems.has_password],
    ['end-session', async () => undefined, 404, en.problems.session_not_found],
  ] as const)('%s is a sentence beside its form', async (action, prepare, status, sentence) => {
    const { id } = await createUser(here.system)
    await prepare(id)
    const answer = await post(id, { action, session_id: Bun.randomUUIDv7() })
    expect([answer.status, answer.text.includes(inPage(sentence))]).toEqual([status, true])
    expect(answer.text).toContain('role="alert"')
  })
  const disable = (id: string) => here.users(`PATCH /users/${id}`, byOperator({ status: 'disabled' }))

  test('an invitation of someone who is disabled says so, and nothing is on its way', async () => {
    const email = newEmail()
    const { body } = await here.users('POST /users', byOperator({ email }))
    await disable(body.id)
    const answer = await admin.visitor.fill('/console/invite', { email })
    expect([answer.status, answer.text.includes(en.problems.account_disabled)]).toEqual([403, true])
    expect(answer.text).toContain(`value="${email}"`)
  })

  test('the last administrator stays', async () => {
    const answer = await post(admin.id, { action: 'disable' })
    expect([answer.status, (await here.users(`GET /users/${admin.id}`, byOperator())).body.status]).toEqual([
      409,
      'active',
    ])
    expect(answer.text).toContain(en.problems.last_admin_of_all)
  })

  test('the limit of mails says when to try again', async () => {
    const { id } = await createUser(here.system)
    for (let n = 0; n < 5; n++) expect((await post(id, { action: 'reset' })).status).toBe(303)
    const { status, text } = await post(id, { action: 'reset' })
    expect([status, text.includes(en.problems.rate_limited)]).toEqual([429, true])
  })

  test('an invitation keeps what was typed', async () => {
    const { visitor } = admin
    const wrong = await visitor.fill('/console/invite', { email: 'vera', name: 'Vera' })
    expect([wrong.status, wrong.text.includes(en.errors.format(undefined))]).toEqual([400, true])
    expect(wrong.text).toContain('value="vera"')
    expect((await visitor.post('/console/invite', { email: '', name: 'Vera' })).text).toContain('value="Vera"')
  })

  test('a service that does not answer is a sentence, or a page with the id of the request', async () => {
    const { visitor } = admin
    const { id } = await createUser(here.system)
    await visitor.get('/console/invite')
    await here.system.terminate('users')
    try {
      const email = newEmail()
      const refused = await visitor.post('/console/invite', { email })
      expect([refused.status, refused.text.includes(en.problems.unavailable)]).toEqual([503, true])
      expect(refused.text).toContain(`value="${email}"`)
      const page = await visitor.get(`/console/users/${id}`)
      expect([page.status, page.text.includes(en.failure.unavailable)]).toEqual([503, true])
      expect(page.text).toContain(en.failure.request)
    } finally {
      await here.system.start('users')
    }
  })

  test('a service that does not answer before the form is read keeps what was typed, without secrets', async () => {
    const { visitor } = admin
    const [secret, typed] = ['canary password', { email: newEmail(), name: '"><b>Vera' }]
    const forms = [
      ['/console/invite', typed],
      ['/account', { action: 'email', new_email: newEmail() }],
    ] as const
    await visitor.get('/console/invite')
    await here.system.terminate('auth')
    try {
      for (const [path, fields] of forms) {
        const secrets = { confirm_password: secret, confirm_code: secret, confirm_credential: secret, code: secret }
        const { status, text } = await visitor.post(path, { ...fields, ...secrets, new_password: secret })
        expect([path, status, text.includes(en.failure.unavailableForm)]).toEqual([path, 503, true])
        for (const [name, value] of Object.entries(fields))
          expect(text).toContain(`name="${name}" value="${inPage(value)}"`)
        expect(text).not.toContain(secret)
        const foreign = await visitor.copy().post(path, { ...fields, form_token: 'x'.repeat(43) })
        expect([foreign.status, foreign.token]).toEqual([503, ''])
      }
    } finally {
      await here.system.start('auth')
    }
  })
})
