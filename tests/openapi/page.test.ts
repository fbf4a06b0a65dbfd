import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'
import { call } from '../support/http.ts'
import { inProcess, type System } from '../support/system.ts'
import { type OpenApiDocument, operationsOf } from './document.ts'

const PLACES = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const executablePath = PLACES.find((place) => place && existsSync(place))
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
]
/** A browser that hangs must not hold up the tests. */
const PATIENCE = 60_000

const missing = executablePath === undefined
// Where every test has to run, a missing browser is a failure; on a developer's machine it is said aloud.
const skipped = missing && process.env.CI !== 'true'
if (skipped) console.error('SKIPPED: the page of the documentation. Install Chromium, or say with CHROMIUM where it is')

describe('the page', () => {
  let browser: Browser
  beforeAll(async () => {
    if (missing) return
    browser = await chromium.launch({ executablePath, args: ARGUMENTS, timeout: PATIENCE })
  }, PATIENCE)
  afterAll(() => browser?.close(), PATIENCE)

  describe('', () => {
    let system: System
    beforeAll(async () => {
      if (!missing) system = await inProcess()
    })
    afterAll(() => system?.stop())

    test.skipIf(skipped)(
      'works without the internet, and shows the operations',
      async () => {
        if (missing) throw new Error(`There is no Chromium at ${PLACES.filter(Boolean).join(', ')}: install it`)
        const { auth, modules, users } = system.url
        // All of it is looked at once, where it is all of the contract: it takes a browser seconds.
        await look(browser, users, undefined)
        const html = async (base: string) => (await call(base, 'GET /swagger')).text.replaceAll(/Ch202 \w+/g, 'Ch202')
        expect(await html(auth)).toBe(await html(users))
        expect(await html(modules)).toBe(await html(users))
      },
      2 * PATIENCE,
    )
  })
})

/** Opens the page of one address, and the first chapters of it, with the rest of the world cut off. */
async function look(browser: Browser, base: string, chapters?: number): Promise<void> {
  const page = await browser.newPage()
  page.setDefaultTimeout(PATIENCE)
  const elsewhere: string[] = []
  const errors: string[] = []
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
  page.on('pageerror', (error) => errors.push(error.message))
  await page.route('**/*', (route) => {
    const url = route.request().url()
    if (url.startsWith(`${base}/`) || /^(data|blob):/.test(url)) return route.continue()
    elsewhere.push(url)
    return route.abort()
  })

  const response = await page.goto(`${base}/swagger`)
  expect(response?.status()).toBe(200)
  const document = (await call(base, 'GET /swagger/json')).body as OpenApiDocument
  await page.getByText(document.info.title, { exact: true }).first().waitFor()
  for (const { name } of document.tags.slice(0, chapters)) {
    // A chapter is drawn when it is gone to.
    await page.goto(`${base}/swagger#tag/${name}`)
    const summaries = operationsOf(document)
      .filter(({ operation }) => operation.tags.includes(name))
      .map(({ operation }) => operation.summary)
    // As it is seen (`innerText`), and asked for all at once: the page is large.
    const seen = `${JSON.stringify(summaries)}.every((summary) => document.body.innerText.includes(summary))`
    await page.waitForFunction(seen, undefined, { polling: 100 })
  }
  expect(elsewhere).toEqual([])
  expect(errors).toEqual([])
  await page.close()
}
