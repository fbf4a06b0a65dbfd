import { describe, expect, test } from 'bun:test'
import { source } from 'axe-core'
import { createUser } from '../support/actors.ts'
import { byOperator, call } from '../support/http.ts'
import { RelyingParty } from '../support/oauth/relying-party.ts'
import { sliced, WHOLE } from '../support/whole.ts'
import type { Person } from './pages.ts'
import { pagesOfAna, STATES } from './states.ts'

const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']

/** Each width and each choice of colours: neither changes what the other one does. */
const SCREENS = [
  { colorScheme: 'light', width: 320 },
  { colorScheme: 'dark', width: 1280 },
] as const

interface Inspection {
  width: number
  overflow: string[]
  clipped: string[]
  small: string[]
}
interface FieldRead {
  name: string
  type: string
  autocomplete: string
  value: string
  label: string
  isInvalid: boolean
  isFocused: boolean
  description: string[]
}

/** Runs axe. @returns each rule that is broken, with the elements that break it */
async function violations({ page }: Person): Promise<string[]> {
  await page.evaluate(source)
  return (await page.evaluate(
    `axe.run(document, { runOnly: { type: 'tag', values: ${JSON.stringify(TAGS)} } }).then(({ violations }) =>
      violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html, failureSummary }) => html + ' ' + failureSummary).join('; ')))`,
  )) as string[]
}

/** Everything that is wrong with the page on a screen. */
async function faults(person: Person, { colorScheme, width }: (typeof SCREENS)[number]): Promise<object> {
  await person.page.setViewportSize({ width, height: 800 })
  await person.page.emulateMedia({ colorScheme })
  const { width: pageWidth, ...inspection } = await person.inPage<Inspection>('inspect')
  return { colorScheme, width, pageWidth, ...inspection, axe: await violations(person) }
}

/** The value of `autocomplete` of each field; of a password, it depends on what it is for. */
const AUTOCOMPLETE: Record<string, string[]> = {
  login: ['username webauthn'],
  password: ['current-password', 'new-password'],
  current_password: ['current-password'],
  confirm_password: ['current-password'],
  new_password: ['new-password'],
  // The email of someone else is typed in the support console.
  email: ['email', 'off'],
  new_email: ['email'],
  code: ['one-time-code'],
  confirm_code: ['one-time-code'],
  // A factor has a name too.
  name: ['name', 'off'],
  username: ['username'],
  locale: ['language'],
  confirmed: [''],
  search: ['off'],
}

/** Bytes of a page with its files, compressed. */
const HEAVIEST = 30_000

async function weightOf({ page }: Person): Promise<number> {
  const sizes = await page.evaluate(`Promise.all(
    [...document.querySelectorAll('link[href], script[src]')].map((element) => fetch(element.href || element.src))
  ).then((answers) => Promise.all(answers.map((answer) => answer.text())))`)
  return [await page.content(), ...(sizes as string[])].reduce((sum, text) => sum + Bun.gzipSync(text).length, 0)
}

const fine = ({ colorScheme, width }: (typeof SCREENS)[number]) => ({
  colorScheme,
  width,
  pageWidth: width,
  overflow: [],
  clipped: [],
  small: [],
  axe: [],
})

const inEnglish = pagesOfAna({ LOCALE: 'en' })

describe.each(['en', 'ru'] as const)('in %s', (language) => {
  // In the suite the same people read Russian, but for who registered in English.
  const here = language === 'ru' && WHOLE ? pagesOfAna({ LOCALE: language }) : inEnglish
  const all = language === 'ru' && !WHOLE ? STATES.filter((state) => state.as !== 'new') : STATES

  // In Russian fewer: its words are longer, and nothing else differs.
  const states = sliced(all, language === 'en' ? 17 : 53)
  test.each(states.map((state, index) => [state.name, state, index] as const))(
    '%s is accessible',
    async (_, state, index) => {
      const person = await here.show(state, { language })
      try {
        expect(await person.page.getAttribute('html', 'lang')).toBe(language)
        for (const screen of WHOLE ? SCREENS : SCREENS.slice(index % 2).slice(0, 1))
          expect(await faults(person, screen)).toEqual(fine(screen))
        // Text of twice the size (WCAG 2.2, 1.4.4).
        await person.page.setViewportSize({ width: 640, height: 800 })
        await person.page.evaluate(`document.documentElement.style.fontSize = '200%'`)
        const { clipped, overflow, width } = await person.inPage<Inspection>('inspect')
        expect({ clipped, overflow, width }).toEqual({ clipped: [], overflow: [], width: 640 })
        expect(await weightOf(person)).toBeLessThan(HEAVIEST)
        const read = await person.inPage<FieldRead[]>('fields')
        for (const { autocomplete, description, isInvalid, label, name, type, value } of read) {
          expect({ name, isRight: AUTOCOMPLETE[name]?.includes(autocomplete) }).toEqual({ name, isRight: true })
          expect({ name, label }).not.toEqual({ name, label: '' })
          if (isInvalid) expect(description.at(-1)?.length).toBeGreaterThan(5)
          for (const text of description) expect(text).not.toStartWith('no element')
          if (type === 'password') expect(value).toBe('')
        }
        // Whoever sent a form with errors begins at the first one.
        const first = read.find(({ isInvalid }) => isInvalid)
        if (first) expect(first.isFocused || first.type === 'checkbox').toBe(true)
      } finally {
        await state.after?.(here.world)
      }
    },
  )
})

describe('the pages', () => {
  const here = inEnglish
  const state = (name: string) => STATES.find((each) => each.name === name) ?? expect.unreachable(name)

  test('fit into 320 px with the longest email and a long name', async () => {
    const email = `${'a'.repeat(64)}@${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(57)}.org`
    expect(email).toHaveLength(254)
    const ana = await here.person({ viewport: { width: 320, height: 800 } })
    const expectFits = async () => {
      const { overflow, width } = await ana.inPage<Inspection>('inspect')
      expect({ at: ana.at, overflow, width }).toEqual({ at: ana.at, overflow: [], width: 320 })
    }
    await ana.register(email, { name: 'N'.repeat(100) })
    expect(ana.at).toBe('/verify-email')
    await expectFits()
    const app = await RelyingParty.start(here.system, { name: 'W'.repeat(100) })
    const ofApp = [app.authorize(), app.authorize({ prompt: 'login' }), `/oauth/logout?client_id=${app.client.id}`]
    await app.stop()
    for (const path of ['/account', '/account/security', '/account/sessions', '/account/delete', ...ofApp]) {
      await ana.open(path)
      await expectFits()
    }
    const { body } = await call(here.system.url.users, `GET /api/v1/users/by-email/${email}`, byOperator())
    const sam = await here.show(state('console'), { viewport: { width: 320, height: 800 } })
    for (const path of [
      `/console?search=${'b'.repeat(63)}`,
      `/console/users/${body.id}`,
      `/console/invite?email=${email}`,
    ]) {
      await sam.open(path)
      const { overflow, width } = await sam.inPage<Inspection>('inspect')
      expect({ path, overflow, width }).toEqual({ path, overflow: [], width: 320 })
    }
    await ana.open('/account')
    await ana.type(ana.texts.fields.new_email, email.replace('a', 'e'))
    await ana.press(ana.texts.account.change)
    await expectFits()
    await ana.press(ana.texts.nav.signOut)
    await ana.signIn(email, 'a wrong password')
    await expectFits()
    await ana.open('/forgot-password')
    await ana.type(ana.texts.fields.email, email)
    await ana.press(ana.texts.forgot.submit)
    await expectFits()
  })

  test('take what is pasted, in passwords and codes too', async () => {
    const ana = await here.show(state('sign-in-device'))
    const { fields } = ana.texts
    const paste = async (text: string, label: string, path?: string) => {
      const [from, to] = [ana.field(path ? fields.login : fields.code), ana.field(label)]
      await from.fill(text)
      await from.press('Control+a')
      await from.press('Control+x')
      await to.focus()
      await to.press('Control+v')
      expect(await to.inputValue()).toBe(text)
    }
    await paste('123 456', fields.code)
    await ana.open('/sign-in')
    await paste('correct horse battery', fields.password, '/sign-in')
  })

  test('show a password on request, and hide it before it is sent', async () => {
    const ana = await here.person()
    const { fields, hide, show, signUp } = ana.texts
    await ana.open('/sign-up')
    const password = ana.field(fields.password)
    await password.fill('short')
    await ana.page.getByRole('button', { name: show }).click()
    expect(await password.getAttribute('type')).toBe('text')
    await ana.page.getByRole('button', { name: hide }).click()
    expect(await password.getAttribute('type')).toBe('password')
    await ana.page.getByRole('button', { name: show }).click()
    await ana.page.evaluate(`document.forms[0].addEventListener('submit', () => {
      sessionStorage.type = document.getElementById('password').type
    })`)
    await ana.press(signUp.submit)
    expect(await ana.page.evaluate('sessionStorage.type')).toBe('password')
  })

  test('keep what was typed next to its errors, except passwords', async () => {
    const vera = await here.show(state('sign-up-wrong'))
    const { fields } = vera.texts
    expect(await vera.field(fields.email).inputValue()).toBe('vera')
    expect(await vera.field(fields.name).inputValue()).toBe('Vera')
    expect(await vera.field(fields.password).inputValue()).toBe('')
  })

  test('move nothing if the reader prefers that', async () => {
    const ana = await here.show(state('account'), { reducedMotion: 'reduce' })
    const moving = await ana.page.evaluate(`[...document.querySelectorAll('*')].filter((element) => {
      const { animationName, transitionDuration } = getComputedStyle(element)
      return animationName !== 'none' || /[1-9]/.test(transitionDuration)
    }).length`)
    expect(moving).toBe(0)
  })

  test('have borders and a focus in the colours of the reader', async () => {
    const ana = await here.show(state('sessions'), { forcedColors: 'active' })
    const flat = await ana.page.evaluate(`[...document.querySelectorAll('button, .button, input:not([type=hidden])')]
      .filter((element) => element.checkVisibility())
      .map((element) => ({ html: element.outerHTML, ...getComputedStyle(element) }))
      .filter(({ borderTopStyle, borderTopWidth }) => borderTopStyle === 'none' || parseFloat(borderTopWidth) < 1)
      .map(({ html }) => html)`)
    expect(flat).toEqual([])
    await ana.page.keyboard.press('Tab')
    await ana.page.keyboard.press('Tab')
    expect(await ana.inPage<{ hasOutline: boolean }>('focused')).toMatchObject({ hasOutline: true })
  })

  test('are complete before their script has arrived', async () => {
    const ana = await here.person()
    const { promise, resolve } = Promise.withResolvers<void>()
    await ana.page.route('**/*.js', async (route) => {
      await promise
      await route.continue()
    })
    await ana.page.goto('/sign-in', { waitUntil: 'commit' })
    await ana.see(ana.texts.signIn.noAccount)
    await ana.page.waitForFunction(`performance.getEntriesByName('first-contentful-paint').length > 0`)
    expect(await ana.page.getByRole('button', { name: ana.texts.show }).count()).toBe(0)
    resolve()
    await ana.page.getByRole('button', { name: ana.texts.show }).waitFor()
  })
})

describe('with a closed registration, verified emails, and mails in files', () => {
  const here = pagesOfAna({ REGISTRATION: 'closed', EMAIL_VERIFICATION: 'required', SMTP_URL: '', DEVICE_TRUST: 'off' })

  test('the sign-in, the sign-up, and the pages that wait for a mail are accessible', async () => {
    const { email } = await createUser(here.system, { email_verified: true })
    const { email: unverified, id } = await createUser(here.system, { email_verified: true })
    const changed = await call(
      here.system.url.users,
      `PATCH /api/v1/users/${id}`,
      byOperator({ email_verified: false }),
    )
    expect(changed.status).toBe(200)
    const ana = await here.person()
    const { fields, forgot, signUp, verify } = ana.texts
    const expectFine = async () => {
      for (const screen of sliced(SCREENS, 2)) expect(await faults(ana, screen)).toEqual(fine(screen))
    }
    await ana.open('/sign-up')
    await ana.see(signUp.closed)
    await expectFine()
    await ana.signIn(unverified)
    await ana.see(verify.required)
    await ana.see(`${here.system.dataDir}/mail/`)
    await expectFine()
    await ana.open('/forgot-password')
    await ana.type(fields.email, email)
    await ana.press(forgot.submit)
    await ana.see(`${here.system.dataDir}/mail/`)
    await expectFine()
  })
})
