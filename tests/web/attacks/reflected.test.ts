import { beforeAll, describe, expect, test } from 'bun:test'
import { PAGES } from '../../../services/web/index.ts'
import { newEmail, PASSWORD } from '../../support/actors.ts'
import { as } from '../../support/http.ts'
import { running } from '../../support/running.ts'
import { inProcess } from '../../support/system.ts'
import { CANARY, expectNoMarkup, SHORT } from './markup.ts'
import { COOKIES, FORM_TYPE, newPerson, OWN_FORM, type Person, signIn, Visitor } from './visitor.ts'

describe('values that pages show', () => {
  const here = running(inProcess, {
    RATE_LIMIT: 'off',
    EMAIL_LOGIN: 'on',
    PRODUCT_NAME: 'Shop & &lt;b data-canary',
    SUPPORT_EMAIL: 'help@example.org',
  })
  let person: Person
  beforeAll(async () => {
    person = await newPerson(here.system, { 'user-agent': `Mozilla/5.0 ${CANARY}` })
  })

  test('check 48: the name of the product, of a person and of a module is text', async () => {
    const name = CANARY.slice(0, 100)
    const module = { id: 'canary', name, description: CANARY, version: SHORT.slice(0, 20) }
    const dependent = { id: 'canary-two', name: `2 ${SHORT}`, description: SHORT, requires: ['canary'] }
    for (const body of [module, dependent])
      expect((await here.modules('POST /modules', { headers: as.operator, body })).status).toBe(201)
    const { visitor } = person
    await visitor.get('/account')
    expect((await visitor.post('/account', { action: 'profile', name })).status).toBe(303)
    for (const { get, path } of PAGES) {
      if (!get || path === '/account/export') continue
      for (const each of [visitor, new Visitor(here.system)]) expectNoMarkup(await each.copy().get(path), path)
    }
    const modules = await visitor.get('/account/modules')
    expect(modules.text).toContain('data-canary')
    expect((await visitor.get('/account')).text).toContain('&quot;')
    const { text } = await new Visitor(here.system).get('/sign-in')
    expect(text).toContain('Shop &amp; &amp;lt;b')
  })

  test('check 48: a file of the data is no page', async () => {
    const { headers, status, text } = await person.visitor.get('/account/export')
    expect(status).toBe(200)
    expect(headers.get('content-type')).toBe('application/json')
    expect(headers.get('content-disposition')).toBe('attachment; filename="account.json"')
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(text).toContain('data-canary')
  })

  test('check 48: parameters of addresses are text', async () => {
    const names = [
      'token',
      'return_to',
      'step',
      'done',
      'cursor',
      'login',
      'email',
      'error',
      'code',
      'form_token',
      CANARY,
    ]
    for (const { path, get } of PAGES) {
      if (!get || path === '/account/export') continue
      for (const value of [
        CANARY,
        SHORT,
        `/${SHORT}`,
        `/x?a=${SHORT}#${SHORT}`,
        'javascript:alert(1)',
        '\u2028"><b data-canary>',
      ])
        for (const each of [person.visitor, new Visitor(here.system)])
          for (const name of names) {
            const page = await each.copy().get(`${path}?${new URLSearchParams({ [name]: value })}`)
            expectNoMarkup(page, `${path} ${name} ${value}`)
          }
    }
    for (const path of ['/nowhere', '/account/'])
      expectNoMarkup(
        await person.visitor.get(`${path}${encodeURIComponent(CANARY)}?${encodeURIComponent(CANARY)}`),
        path,
      )
    const raw = await person.visitor.get('/nowhere/"><b data-canary>?"><b data-canary>')
    expectNoMarkup(raw, 'raw path')
  })

  test('check 48: fields of forms are text', async () => {
    const names = [
      'login',
      'email',
      'name',
      'username',
      'locale',
      'new_email',
      'token',
      'code',
      'return_to',
      'step',
      'action',
      'session_id',
      'module_id',
      'password',
      'new_password',
      'current_password',
      'confirm_password',
      'confirmed',
    ]
    for (const { path, post } of PAGES) {
      if (!post || path === '/sign-out') continue
      for (const value of [CANARY, SHORT, `a@${SHORT}.example`])
        for (const action of ['', 'profile', 'email', 'code', 'send'])
          for (const signedIn of [true, false]) {
            const visitor = signedIn ? person.visitor.copy() : new Visitor(here.system)
            await visitor.get(signedIn ? '/account' : '/sign-in')
            const fields: Record<string, string> = {
              ...Object.fromEntries(names.map((name) => [name, value])),
              ...(action === '' ? {} : { action }),
            }
            // Without the step, so that the fields reach their form.
            const { step: _, ...others } = fields
            for (const sent of [fields, others]) {
              const page = await visitor.copy().post(path, sent)
              expectNoMarkup(page, `${path} ${action}`)
              for (const secret of ['password', 'new_password', 'current_password', 'confirm_password'])
                expect(page.text).not.toMatch(new RegExp(`name="${secret}"[^>]*\\bvalue=`))
            }
          }
    }
  }, 120_000)

  test('check 48: what was typed stays in its field, escaped', async () => {
    const visitor = new Visitor(here.system)
    const { status, text } = await visitor.fill('/sign-in', { login: SHORT, password: SHORT })
    expect(status).toBe(401)
    expect(text).toContain('value="&quot;')
    const sent = await visitor.fill('/forgot-password', { email: 'a+<b>@example.org' })
    expectNoMarkup(sent, 'forgot')
  })

  test('check 48: headers are text', async () => {
    const headers = {
      'user-agent': `Mozilla/5.0 (X11; ${SHORT}) Firefox/130.0`,
      'accept-language': `${SHORT}, en`,
      'x-request-id': '"><b/data-canary>',
      referer: `https://evil.example/${SHORT}`,
      'x-forwarded-for': SHORT,
    }
    const visitor = new Visitor(here.system, headers)
    await signIn(visitor, person.email)
    for (const path of ['/account/sessions', '/account/security', '/account', '/nowhere'])
      expectNoMarkup(await visitor.get(path), path)
    expect((await visitor.get('/account/sessions')).text).not.toContain('X11')
    const refused = await visitor.post('/account', {}, { 'sec-fetch-site': 'cross-site' })
    expectNoMarkup(refused, 'refused')
  })

  test('check 48: cookies are text', async () => {
    for (const name of Object.values(COOKIES)) {
      const visitor = new Visitor(here.system)
      visitor.cookies.set(name, SHORT)
      for (const { path } of PAGES) expectNoMarkup(await visitor.copy().get(path), `${path} ${name}`)
    }
  })

  test('check 48: no value begins another header', async () => {
    const breaks = [
      '\r\nset-cookie: a=b',
      '%0d%0aset-cookie:%20a=b',
      '\nlocation: //evil.example',
      '\u560d\u560aset-cookie: a=b',
      '\u010d\u010aa: b',
    ]
    for (const value of breaks) {
      for (const path of ['/sign-in', '/sign-up', '/account/security', '/nowhere']) {
        for (const each of [person.visitor, new Visitor(here.system)]) {
          const query = new URLSearchParams({ return_to: `/x${value}`, done: value, cursor: value })
          const { headers, status } = await each.copy().get(`${path}?${query}`)
          expect(status).toBeLessThan(500)
          for (const line of headers.getSetCookie()) expect(line).toStartWith('__Host-ch202')
          expect(headers.get('location') ?? '').not.toMatch(/[\r\n]|^\/\//)
        }
      }
      const visitor = new Visitor(here.system)
      await visitor.get('/sign-in')
      const body = new URLSearchParams({
        form_token: visitor.token,
        login: person.email,
        password: PASSWORD,
        return_to: `/x${value}`,
      })
      const { headers, status } = await visitor.send(
        'POST',
        '/sign-in',
        { ...OWN_FORM, 'content-type': FORM_TYPE },
        body.toString(),
      )
      expect(status).toBe(303)
      for (const line of headers.getSetCookie()) expect(line).toStartWith('__Host-ch202')
    }
    for (const id of ['a b', 'a\tb', 'x'.repeat(129), 'ä', '']) {
      const { headers } = await new Visitor(here.system).get('/sign-in', { 'x-request-id': id })
      expect(headers.get('x-request-id')).not.toBe(id)
    }
  })
})

describe('the name of the product', () => {
  test.each(['Shop\r\nX-Evil: 1', 'Shop\nSubject: x', 'Shop\u0000', 'Shop <b>', 'Shop"', 'Shop\u0085'])(
    'check 48: %p begins no header and no element: it is refused at the start',
    async (PRODUCT_NAME) => {
      const started = inProcess({ PRODUCT_NAME }).then(
        async (system) => {
          await system.stop()
          return 'started'
        },
        (error) => String(error),
      )
      expect(await started).toContain('PRODUCT_NAME')
    },
  )

  test('check 48: in a browser that asks for no page an unknown path is no page', async () => {
    const system = await inProcess({})
    try {
      const visitor = new Visitor(system)
      const { headers, text } = await visitor.get(`/nowhere/${encodeURIComponent(SHORT)}`, { accept: '*/*' })
      expect(headers.get('content-type')).toContain('json')
      expect(text).not.toContain('<b')
      expect((await visitor.fill('/sign-up', { email: newEmail(), password: PASSWORD, name: SHORT })).status).toBe(303)
    } finally {
      await system.stop()
    }
  })
})
