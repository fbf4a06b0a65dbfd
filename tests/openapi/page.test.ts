import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { Browser } from 'playwright-core'
import { BROWSER_TIMEOUT, openChromium } from '../support/browser/chromium.ts'
import { call } from '../support/http.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'
import { sliced } from '../support/whole.ts'
import { type OpenApiDocument, operationsOf } from './document.ts'

describe('the page', () => {
  const here = running(inProcess)
  let browser: Browser
  beforeAll(async () => {
    browser = await openChromium()
  }, BROWSER_TIMEOUT)
  afterAll(() => browser?.close(), BROWSER_TIMEOUT)

  test('works without the internet, and shows every operation', async () => {
    const { auth, modules, users } = here.system.url
    await openEveryGroup(browser, users)
    const html = async (base: string) => (await call(base, 'GET /swagger')).text.replaceAll(/Ch202 \w+/g, 'Ch202')
    expect(await html(auth)).toBe(await html(users))
    expect(await html(modules)).toBe(await html(users))
  })
})

/** Opens the page and every group, or some in the suite, and blocks all requests to other hosts. */
async function openEveryGroup(browser: Browser, base: string): Promise<void> {
  const page = await browser.newPage()
  page.setDefaultTimeout(BROWSER_TIMEOUT)
  const foreignRequests: string[] = []
  const errors: string[] = []
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
  page.on('pageerror', (error) => errors.push(error.message))
  await page.route('**/*', (route) => {
    const url = route.request().url()
    if (url.startsWith(`${base}/`) || /^(data|blob):/.test(url)) return route.continue()
    foreignRequests.push(url)
    return route.abort()
  })

  const response = await page.goto(`${base}/swagger`)
  expect(response?.status()).toBe(200)
  const document = (await call(base, 'GET /swagger/json')).body as OpenApiDocument
  await page.getByText(document.info.title, { exact: true }).first().waitFor()
  for (const { name } of sliced(document.tags, 3)) {
    // The page renders a group when its link is opened.
    await page.goto(`${base}/swagger#tag/${name}`)
    const summaries = operationsOf(document)
      .filter(({ operation }) => operation.tags.includes(name))
      .map(({ operation }) => operation.summary)
    // Reads the visible text (`innerText`) once for all summaries: the page is large.
    const areShown = `${JSON.stringify(summaries)}.every((summary) => document.body.innerText.includes(summary))`
    await page.waitForFunction(areShown, undefined, { polling: 100 })
  }
  expect(foreignRequests).toEqual([])
  expect(errors).toEqual([])
  await page.close()
}
