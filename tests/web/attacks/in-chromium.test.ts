import { afterEach, describe, expect, test } from 'bun:test'
import type { Page } from 'playwright-core'
import { newEmail, PASSWORD, registerUser, type TestUser } from '../../support/actors.ts'
import { nextMail } from '../../support/challenges.ts'
import { as, call } from '../../support/http.ts'
import { sliced } from '../../support/whole.ts'
import { hosts } from './hosts.ts'
import { stored } from './stored.ts'
import { Visitor } from './visitor.ts'

const ATTRIBUTES = ['', 'enctype="text/plain"', 'enctype="multipart/form-data"', 'rel="noreferrer"']
const TOKEN = 'CanaryToken-0123456789-0123456789-012345678'

describe('pages in Chromium', () => {
  const here = hosts({ EMAIL_LOGIN: 'on', SUPPORT_EMAIL: 'help@example.org' })
  afterEach(() => here.closePages())

  async function signIn(page: Page, { email }: Pick<TestUser, 'email'>, path = '/sign-in'): Promise<void> {
    await page.goto(here.pages + path)
    await page.fill('#login', email)
    await page.fill('#password', PASSWORD)
    await page.click('button[type=submit]')
    await page.waitForLoadState()
  }

  /** Opens a page of another host, and waits for the page that its form leads to. */
  async function attack(page: Page, host: string, html: string): Promise<void> {
    here.answers.set('/attack', `<!doctype html><body>${html}`)
    await page.goto(`${host}/attack`)
    const answered = page.waitForURL((url) => url.origin === here.pages)
    await page.click('#go')
    await answered
    await page.waitForLoadState()
  }

  const formOf = (action: string, fields: Record<string, string>, attributes = '') =>
    `<form method=post action="${here.pages}${action}" ${attributes}>${Object.entries(fields)
      .map(([name, value]) => `<input type=hidden name="${name}" value="${value}">`)
      .join('')}<button id=go>Win</button></form>`

  async function emailShown(page: Page): Promise<string | null> {
    await page.goto(`${here.pages}/account`)
    return await page.locator('.forms strong').first().textContent()
  }

  test.each(sliced(['foreign', 'sibling'] as const, 2))(
    'check 48: a page of a %s host signs nobody in as the attacker',
    async (host) => {
      const attacker = await registerUser(here.system)
      const victim = await registerUser(here.system)
      // The attacker has a form of their own, with its token.
      const visitor = new Visitor(here.system)
      await visitor.get('/sign-in')
      const fields = { login: attacker.email, password: PASSWORD, form_token: visitor.token }
      for (const isSignedIn of [false, true])
        for (const attributes of sliced(ATTRIBUTES, 4)) {
          const page = await here.open()
          if (isSignedIn) await signIn(page, victim)
          else await page.goto(`${here.pages}/sign-in`)
          const before = await stored(here.system)
          await attack(page, here[host], formOf('/sign-in', fields, attributes))
          expect(await page.locator('h1').textContent()).toBe('This form could not be sent')
          expect(await stored(here.system)).toEqual(before)
          if (isSignedIn) expect(await emailShown(page)).toBe(victim.email)
          else {
            await page.goto(`${here.pages}/account`)
            expect(new URL(page.url()).pathname).toBe('/sign-in')
          }
          await here.closePages()
        }
    },
  )

  test.each(['foreign', 'sibling'] as const)(
    'check 48: a page of a %s host changes nothing of who is signed in',
    async (host) => {
      const victim = await registerUser(here.system)
      const page = await here.open()
      await signIn(page, victim)
      const before = await stored(here.system)
      const changes: [string, Record<string, string>][] = [
        ['/account', { action: 'profile', name: 'Attacked' }],
        ['/account', { action: 'email', new_email: newEmail() }],
        ['/account/delete', { confirmed: 'yes' }],
        ['/account/sessions', {}],
        ['/account/security', { current_password: PASSWORD, new_password: 'quite another password' }],
        ['/sign-out', {}],
      ]
      // In the suite one host sends the ones, the other one the others.
      for (const [path, fields] of sliced(host === 'sibling' ? changes : changes.slice(1), 3)) {
        await attack(page, here[host], formOf(path, fields))
        // The cookie comes along from the same site alone.
        expect(await page.locator('h1').textContent()).toBe('This form could not be sent')
        // In a frame whose origin is `null`, with fetch, and with what needs no form.
        here.answers.set(
          '/attack',
          `<!doctype html><body><script>
        const body = new URLSearchParams(${JSON.stringify(fields)})
        const options = { method: 'POST', mode: 'no-cors', credentials: 'include', body }
        Promise.allSettled([
          fetch('${here.pages}${path}', options),
          fetch('${here.pages}${path}', { ...options, mode: 'cors' }),
          fetch('${here.pages}${path}', { ...options, referrerPolicy: 'no-referrer' }),
          fetch('${here.pages}${path}', { credentials: 'include' }),
        ]).then((results) => { navigator.sendBeacon('${here.pages}${path}', body); document.title = results.map((r) => r.status + (r.value?.type ?? '')).join() })
      </script><iframe sandbox="allow-scripts allow-forms" srcdoc='${formOf(path, fields).replaceAll("'", '')}<script>document.forms[0].submit()</script>'></iframe>`,
        )
        await page.goto(`${here[host]}/attack`)
        await page.waitForFunction(() => document.title !== '')
        // Neither answer can be read.
        expect(await page.title()).toBe('fulfilledopaque,rejected,fulfilledopaque,rejected')
        await page.waitForLoadState('networkidle')
      }
      expect(await stored(here.system)).toEqual(before)
      expect(await emailShown(page)).toBe(victim.email)
    },
    180_000,
  )

  test('check 48: the own form works, and says where it comes from', async () => {
    const page = await here.open()
    here.gotByPages.length = 0
    const victim = await registerUser(here.system)
    await signIn(page, victim)
    expect(await emailShown(page)).toBe(victim.email)
    const form = here.gotByPages.find(({ method }) => method === 'POST')
    expect([form?.headers.get('origin'), form?.headers.get('sec-fetch-site')]).toEqual([here.pages, 'same-origin'])
  })

  test.each(['foreign', 'sibling'] as const)(
    'check 48: no page of a %s host shows a page in a frame or holds its window',
    async (host) => {
      const victim = await registerUser(here.system)
      const page = await here.open()
      await signIn(page, victim)
      for (const path of sliced(
        ['/account', '/account/delete', '/sign-in', '/nowhere', '/reset-password?token=x'],
        5,
      )) {
        here.answers.set(
          '/frames',
          `<!doctype html><iframe src="${here.pages}${path}"></iframe><object data="${here.pages}${path}"></object><embed src="${here.pages}${path}">`,
        )
        await page.goto(`${here[host]}/frames`, { waitUntil: 'networkidle' })
        for (const frame of page.frames().slice(1)) {
          expect(await frame.locator('form, [name=form_token]').count()).toBe(0)
          expect(frame.url()).not.toStartWith(here.pages)
        }
      }
      here.answers.set('/opener', '<!doctype html><button id=go>Win</button>')
      await page.goto(`${here[host]}/opener`)
      const opened = page.waitForEvent('popup')
      await page.evaluate((url) => {
        ;(globalThis as unknown as { victim: Window | null }).victim = window.open(url)
      }, `${here.pages}/account`)
      const popup = await opened
      await popup.waitForURL(`${here.pages}/account`)
      expect(await popup.evaluate(() => window.opener === null)).toBe(true)
      await page.waitForFunction(() => (globalThis as unknown as { victim: Window }).victim.closed)
    },
  )

  test('check 48: Chromium follows the redirect after a form to a listed origin, and to no other', async () => {
    const { email } = await registerUser(here.system)
    const listed = `${here.sibling}/cart?item=1`
    const page = await here.open()
    await signIn(page, { email }, `/sign-in?return_to=${encodeURIComponent(listed)}`)
    await page.waitForURL(listed)
    const others = [
      `${here.foreign}/cart`,
      `//evil.example`,
      `${here.sibling}.evil.example/`,
      `${here.sibling}@evil.example/`,
    ]
    for (const to of sliced(others, 4)) {
      const other = await here.open()
      await signIn(other, { email }, `/sign-in?return_to=${encodeURIComponent(to)}`)
      await other.waitForURL(`${here.pages}/account`)
    }
    // After the sign-up comes the code of a mail, and then the listed origin.
    for (const way of ['later', 'code']) {
      const created = newEmail()
      const fresh = await here.open()
      await fresh.goto(`${here.pages}/sign-up?return_to=${encodeURIComponent(listed)}`)
      await fresh.fill('#email', created)
      await fresh.fill('#password', PASSWORD)
      await fresh.click('button[type=submit]')
      await fresh.waitForURL(`${here.pages}/verify-email`)
      if (way === 'later') await fresh.click('button:has-text("Later"), button.link >> nth=-1')
      else {
        await fresh.fill('#code', (await nextMail(here.system, created)).code)
        await fresh.click('button[type=submit] >> nth=0')
      }
      await fresh.waitForURL(listed)
    }
  })

  test('check 48: after the sign-out, going back shows nothing of the account', async () => {
    const victim = await registerUser(here.system)
    for (const javaScriptEnabled of [true, false]) {
      const page = await here.open({ javaScriptEnabled })
      await signIn(page, victim)
      await page.goto(`${here.pages}/account/security`)
      await page.goto(`${here.pages}/account`)
      expect(await page.content()).toContain(victim.email)
      await page.click('header button')
      await page.waitForURL(`${here.pages}/sign-in?done=signed-out`)
      for (let steps = 0; steps < 2; steps++) {
        await page.goBack()
        await page.waitForURL((url) => url.pathname === '/sign-in')
        expect(await page.content()).not.toContain(victim.email)
      }
    }
  })

  test('check 48: the token of a link leaves for no other host, and stands in no log', async () => {
    const victim = await registerUser(here.system)
    const page = await here.open()
    here.gotByOthers.length = 0
    const all = ['/reset-password', '/sign-in-link', '/verify-email', '/confirm-email', '/undo-email', '/invitation']
    const paths = sliced(all, 6)
    for (const isSignedIn of [false, true]) {
      if (isSignedIn) await signIn(page, victim)
      for (const path of paths) {
        const address = `${here.pages}${path}?token=${TOKEN}`
        await page.goto(address)
        const links = await page.locator('a[href]').evaluateAll((all) => all.map((a) => (a as HTMLAnchorElement).href))
        for (const link of links) {
          if (!link.startsWith('http')) continue
          expect(new URL(link).origin).toBe(here.pages)
          await page.goto(address)
          await page.click(`a[href="${link.slice(here.pages.length)}"]`)
          await page.waitForLoadState()
        }
        // A link to another host, as an operator or an extension may add one.
        await page.goto(address)
        await page.evaluate((url) => {
          const link = document.createElement('a')
          link.href = url
          link.id = 'elsewhere'
          link.textContent = 'Elsewhere'
          document.body.append(link)
        }, `${here.foreign}/elsewhere`)
        await page.click('#elsewhere')
        await page.waitForURL(`${here.foreign}/elsewhere`)
      }
    }
    expect(here.gotByOthers.filter(({ url }) => url.endsWith('/elsewhere')).length).toBe(2 * paths.length)
    for (const { headers, url } of here.gotByOthers) {
      expect(url).not.toContain(TOKEN.slice(5))
      expect([url, headers.get('referer') ?? '']).toEqual([url, expect.not.stringContaining(here.pages)])
    }
    expect(here.system.output()).not.toContain(TOKEN.slice(5))
    expect(here.system.output()).toContain('"route":"/reset-password"')
  })

  test('check 48: no script of a value runs, and the own scripts and styles are allowed', async () => {
    const canary = `"'></title></script><img src=x onerror="window.attacked=1"><script>window.attacked=1</script>`
    const admin = { headers: as.operator }
    const body = { id: 'canary', name: canary, description: canary }
    expect((await call(here.system.url.modules, 'POST /api/v1/modules', { ...admin, body })).status).toBe(201)
    const victim = await registerUser(here.system, { name: canary.slice(0, 100) })
    const page = await here.open()
    const messages: string[] = []
    page.on('console', (message) => {
      // Chromium's hints about forms are no errors.
      if (!message.text().startsWith('[DOM]')) messages.push(message.text())
    })
    page.on('pageerror', (error) => messages.push(String(error)))
    page.on('dialog', (dialog) => {
      messages.push(`dialog: ${dialog.message()}`)
      return dialog.dismiss()
    })
    await signIn(page, victim)
    const query = ['token', 'return_to', 'done', 'step', 'cursor', 'email', 'login']
      .map((name) => `${name}=${encodeURIComponent(canary)}`)
      .join('&')
    const pages = [
      '/account',
      '/account/security',
      '/account/sessions',
      '/account/modules',
      '/account/apps',
      '/account/delete',
      '/reset-password',
      '/verify-email',
      '/invitation',
      '/undo-email',
      '/forgot-password',
      '/sign-up',
    ]
    for (const path of sliced(pages, 3)) {
      await page.goto(`${here.pages}${path}?${query}`)
      expect([path, await page.evaluate(() => 'attacked' in window)]).toEqual([path, false])
      expect([path, await page.locator('img, script:not([src])').count()]).toEqual([path, 0])
    }
    await page.goto(`${here.pages}/account/security?${query}`)
    expect(await page.locator('button[data-shows]').first().isVisible()).toBe(true)
    expect(messages).toEqual([])
    // Even markup that got into a page could run nothing and send nothing.
    await page.evaluate((foreign) => {
      const violations = new Set<string>()
      Object.assign(window, { violations })
      document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) =>
        violations.add(effectiveDirective),
      )
      const add = (html: string) => document.body.append(document.createRange().createContextualFragment(html))
      add(
        '<script>window.attacked = 1</script><img src="data:," onerror="window.attacked = 1"><a id=js href="javascript:window.attacked=1">x</a>',
      )
      add(
        `<script src="${foreign}/x.js"></script><link rel=stylesheet href="${foreign}/x.css"><img src="${foreign}/x.png"><base href="${foreign}/">`,
      )
      add(
        `<iframe src="${foreign}/"></iframe><object data="${foreign}/"></object><form id=out method=post action="${foreign}/out"></form>`,
      )
      document.getElementById('js')?.click()
      ;(document.getElementById('out') as HTMLFormElement).submit()
      fetch(`${foreign}/fetch`, { mode: 'no-cors' }).catch(() => undefined)
    }, here.foreign)
    for (const directive of [
      'base-uri',
      'connect-src',
      'form-action',
      'frame-src',
      'img-src',
      'object-src',
      'script-src-attr',
      'script-src-elem',
      'style-src-elem',
    ])
      await page.waitForFunction(
        (name) => (window as unknown as { violations: Set<string> }).violations.has(name),
        directive,
      )
    expect(await page.evaluate(() => 'attacked' in window)).toBe(false)
    expect(await page.evaluate(() => document.baseURI)).toStartWith(here.pages)
  })

  test('check 48: a sibling host cannot set a cookie of the pages', async () => {
    const page = await here.open()
    const context = page.context()
    const attackers = await session(await registerUser(here.system))
    const value = attackers.find(({ name }) => name === '__Host-ch202')?.value ?? ''
    expect(value).not.toBe('')
    const lines = [
      '__Host-ch202',
      '__host-ch202',
      '__HOST-ch202',
      ' __Host-ch202',
      '\u00a0__Host-ch202',
      '\u2000__Host-ch202',
      '=__Host-ch202',
      '==__Host-ch202',
      '\t__Host-ch202',
    ].flatMap((name) => [
      `${name}=${value}; Domain=shop.example; Path=/; Secure`,
      `${name}=${value}; Domain=shop.example; Path=/account; Secure`,
    ])
    here.answers.set('/toss', () => {
      const headers = new Headers({ 'content-type': 'text/html' })
      for (const line of lines) {
        try {
          headers.append('set-cookie', line)
        } catch {
          // Not a value of a header.
        }
      }
      // As a byte of its own, as no script can write it.
      headers.append('set-cookie', `\u00a0__Host-ch202=${value}; Domain=shop.example; Path=/; Secure`)
      return new Response('<!doctype html><title>Toss</title>', { headers })
    })
    await page.goto(`${here.sibling}/toss`)
    await page.evaluate((all) => {
      // biome-ignore lint/suspicious/noDocumentCookie: the attack is such a cookie
      for (const line of all) document.cookie = line
    }, lines)
    expect((await context.cookies(here.pages)).length).toBeGreaterThan(0)
    await page.goto(`${here.pages}/account`)
    expect(new URL(page.url()).pathname).toBe('/sign-in')
    // The victim signs in all the same, and is who they are.
    const victim = await registerUser(here.system)
    await signIn(page, victim)
    expect(await emailShown(page)).toBe(victim.email)
  })

  /** The cookies of a browser in which someone is signed in. */
  async function session(user: TestUser) {
    const page = await here.open()
    await signIn(page, user)
    return await page.context().cookies()
  }
})
