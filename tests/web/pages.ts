import { afterAll, afterEach, beforeAll, expect } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page } from 'playwright-core'
import type { Locale } from '../../services/kit/locale.ts'
import type { Texts } from '../../services/web/texts/en.ts'
import { TEXTS } from '../../services/web/texts/texts.ts'
import { PASSWORD } from '../support/actors.ts'
import { BROWSER_TIMEOUT, openChromium } from '../support/browser/chromium.ts'
import { nextMail } from '../support/challenges.ts'
import { eventually } from '../support/eventually.ts'
import { running } from '../support/running.ts'
import { type InProcessOptions, inProcess, type System, withHost } from '../support/system.ts'

/** How a person uses a page. Everything but passkeys must work in each of these ways. */
export type Way = 'with a script' | 'without a script' | 'by keyboard alone'
export const WAYS: readonly Way[] = ['with a script', 'without a script', 'by keyboard alone']

/** Tab stops of one page, at most. */
const MOST_STOPS = 80

export interface PersonOptions extends BrowserContextOptions {
  way?: Way
  /** The language of the texts by which the person finds buttons and fields, and of the browser. */
  language?: Locale
}

/**
 * Starts a system that serves its pages at its own address, and Chromium, for the tests of the `describe` that calls it.
 * Each test opens persons; at its end their browsers must have reported no error and no violation of the policy.
 * @param env settings
 */
export function pagesInBrowser(env: Record<string, string> = {}, options: InProcessOptions = {}) {
  // An empty setting counts as none: the links in mails lead to the address of the system.
  const here = running((settings) => inProcess({ PUBLIC_URL: '', ...settings }, options), env)
  const persons: Person[] = []
  const { publicHost = '127.0.0.1' } = options
  let browser: Browser
  beforeAll(async () => {
    browser = await openChromium()
  }, BROWSER_TIMEOUT)
  afterEach(async () => {
    const faults = persons.flatMap((person) => person.faults)
    for (const person of persons.splice(0)) await person.leave()
    expect(faults).toEqual([])
  })
  afterAll(() => browser?.close(), BROWSER_TIMEOUT)
  return {
    ...here,
    get system() {
      return here.system
    },
    /** Opens a browser without cookies. */
    async person(personOptions: PersonOptions = {}): Promise<Person> {
      const person = await Person.arrive(browser, here.system, {
        baseURL: withHost(here.system.url.web, publicHost),
        ...personOptions,
      })
      persons.push(person)
      return person
    },
  }
}

/** A person with a browser of their own. They find things by their names, as screen readers read them. */
export class Person {
  /** Errors of the console, and violations of the content security policy. */
  readonly faults: string[] = []
  readonly texts: Texts

  private constructor(
    readonly context: BrowserContext,
    /** The tab that they use now. */
    public page: Page,
    private readonly system: System,
    readonly way: Way,
    language: Locale,
  ) {
    this.texts = TEXTS[language]
    this.watch(page)
  }

  static async arrive(
    browser: Browser,
    system: System,
    { language = 'en', way = 'with a script', ...options }: PersonOptions,
  ): Promise<Person> {
    const context = await browser.newContext({
      javaScriptEnabled: way !== 'without a script',
      locale: language === 'en' ? 'en-GB' : 'ru-RU',
      ...options,
    })
    context.setDefaultTimeout(BROWSER_TIMEOUT)
    await context.addInitScript(
      `addEventListener('securitypolicyviolation', (event) => console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI))`,
    )
    return new Person(context, await context.newPage(), system, way, language)
  }

  /** Opens another tab of the same browser, and uses that from now on. @returns a function that goes back to the first */
  async openTab(): Promise<() => void> {
    const first = this.page
    this.page = await this.context.newPage()
    this.watch(this.page)
    return () => {
      this.page = first
    }
  }

  leave(): Promise<void> {
    return this.context.close()
  }

  private watch(page: Page): void {
    page.on('console', (message) => {
      // Chromium reports the status of a page, such as 400 for a form with an error.
      const isStatus = message.text().startsWith('Failed to load resource: the server responded with a status of')
      if (message.type() === 'error' && !(isStatus && !message.location().url.includes('/assets/')))
        this.faults.push(`${page.url()}: ${message.text()}`)
    })
    page.on('pageerror', (error) => this.faults.push(`${page.url()}: ${error}`))
  }

  /** The path of the page, with its query. */
  get at(): string {
    const { pathname, search } = new URL(this.page.url())
    return pathname + search
  }

  /** Opens an address. @param path a path, or the address in a mail */
  async open(path: string): Promise<number> {
    const response = await this.page.goto(path)
    return response?.status() ?? 0
  }

  /** Types into the field with this label, in place of what it contains. */
  async type(label: string, value: string): Promise<void> {
    const field = this.field(label)
    if (this.way !== 'by keyboard alone') return await field.fill(value)
    await this.tabTo(field)
    await this.page.keyboard.press('Control+a')
    await this.page.keyboard.press('Delete')
    await this.page.keyboard.type(value)
  }

  /** Chooses what a list offers under this name. */
  async choose(label: string, option: string): Promise<void> {
    const list = this.page.getByLabel(label, { exact: true })
    if (this.way !== 'by keyboard alone') return void (await list.selectOption({ label: option }))
    await this.tabTo(list)
    const chosen = list.locator('option:checked')
    for (let key = 0; (await chosen.textContent()) !== option; key++) {
      if (key === MOST_STOPS) throw new Error(`${this.at}: ${label} does not offer ${option}`)
      await this.page.keyboard.press('ArrowDown')
    }
  }

  async tick(label: string): Promise<void> {
    const box = this.page.getByRole('checkbox', { name: label })
    if (this.way !== 'by keyboard alone') return await box.check()
    await this.tabTo(box)
    await this.page.keyboard.press('Space')
  }

  /** Presses a button that sends a form, and waits for the next page. */
  async press(name: string): Promise<void> {
    await this.goOn(this.page.getByRole('button', { name, exact: true }).first())
  }

  /** Follows a link, and waits for the next page. */
  async follow(name: string): Promise<void> {
    await this.goOn(this.page.getByRole('link', { name, exact: true }).first())
  }

  /** Waits until the page shows a text. */
  async see(text: string): Promise<void> {
    await this.page.getByText(text).first().waitFor()
  }

  /** All text of the page, with every space as one. */
  async read(): Promise<string> {
    return ((await this.page.locator('body').textContent()) ?? '').replaceAll(/\s+/g, ' ')
  }

  async heading(): Promise<string> {
    return (await this.page.locator('h1').textContent()) ?? ''
  }

  field(label: string): Locator {
    // A field that need not be filled in says so in its label, after its name.
    return this.page.getByLabel(new RegExp(`^${RegExp.escape(label)}( \\(${RegExp.escape(this.texts.optional)}\\))?$`))
  }

  /** Calls a function of `in-page.js`. */
  async inPage<T>(name: 'focused' | 'inspect' | 'fields'): Promise<T> {
    return (await this.page.evaluate(`${IN_PAGE};inPages.${name}()`)) as T
  }

  private async goOn(target: Locator): Promise<void> {
    const loaded = this.page.waitForEvent('load')
    // If the target cannot be reached, that is the error.
    loaded.catch(() => undefined)
    if (this.way === 'by keyboard alone') {
      await this.tabTo(target)
      await this.page.keyboard.press('Enter')
    } else await target.click()
    await loaded
  }

  /**
   * Moves the focus to an element with the Tab key.
   * @throws Error if a stop cannot be seen, if the stops are not in the order of the document, or if Tab does not lead there
   */
  private async tabTo(target: Locator): Promise<void> {
    await target.waitFor()
    let before: number | undefined
    for (let stop = 0; stop < MOST_STOPS; stop++) {
      const focus = await this.focus()
      if (focus) {
        if (before !== undefined && focus.place <= before)
          throw new Error(`${this.at}: the focus does not move on: ${JSON.stringify(focus)}`)
        before = focus.place
        if (await target.evaluate((element) => element === element.ownerDocument.activeElement)) return
      } else before = undefined
      await this.page.keyboard.press('Tab')
    }
    throw new Error(`${this.at}: ${target} cannot be reached with Tab`)
  }

  /** The focused element, once the browser has scrolled to it; null: none. @throws Error if it cannot be seen */
  private async focus(): Promise<Focus | null> {
    let focus: Focus | null = null
    try {
      await eventually(async () => {
        focus = await this.inPage<Focus | null>('focused')
        return focus === null || (focus.isInView && focus.hasOutline)
      })
    } catch {
      throw new Error(`${this.at}: the focus is not visible: ${JSON.stringify(focus)}`)
    }
    return focus
  }

  // What a person does on the way to what a test is about.

  async register(email: string, { name = '', password = PASSWORD } = {}): Promise<void> {
    const { fields, signUp } = this.texts
    await this.open('/sign-up')
    await this.type(fields.email, email)
    await this.type(fields.password, password)
    if (name) await this.type(fields.name, name)
    await this.press(signUp.submit)
  }

  /** Signs in with the form of the page at which the person is, or of the sign-in. */
  async signIn(login: string, password = PASSWORD): Promise<void> {
    const { fields, signIn } = this.texts
    if (!this.at.startsWith('/sign-in')) await this.open('/sign-in')
    await this.type(fields.login, login)
    await this.type(fields.password, password)
    await this.press(signIn.submit)
  }

  /**
   * Waits for the mail to an address after the first `before` ones.
   * @param page the page to which its link leads; undefined: any mail counts
   * @returns its code, and the address that its recipient opens
   */
  async mail(email: string, page?: string, before = 0): Promise<{ code: string; link: string; mail: string }> {
    const { code, mail, token } = await nextMail(this.system, email, before, page)
    return { code, mail, link: `/${page}?token=${token}` }
  }
}

interface Focus {
  html: string
  place: number
  isInView: boolean
  hasOutline: boolean
}

const IN_PAGE = readFileSync(join(import.meta.dir, 'in-page.js'), 'utf8')
