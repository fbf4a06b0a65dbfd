import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { BROWSER_TIMEOUT, openChromium } from '../support/browser/chromium.ts'
import { nextMail } from '../support/challenges.ts'
import { running } from '../support/running.ts'
import { freePort } from '../support/servers/ports.ts'
import { inProcess } from '../support/system.ts'
import { ROOT } from '../support/tool.ts'
import { type App, serveApp } from './tabs.ts'

/** The page of docs/browser.md, as it is printed. */
const PRINTED = /^```html\n<!-- login\.html -->\n([\s\S]*?)^```$/m.exec(
  readFileSync(join(ROOT, 'docs/browser.md'), 'utf8'),
)?.[1]
const ADDRESS = 'http://127.0.0.1:3000'

const port = freePort()
const here = running(inProcess, { CORS_ORIGINS: `http://127.0.0.1:${port}`, DEVICE_TRUST: 'all' })
let app: App
let browser: Browser
let page: Page
const problems: string[] = []
beforeAll(async () => {
  app = await serveApp(port, here.system.url.auth)
  app.files['/login.html'] = (PRINTED ?? '').replace(ADDRESS, here.system.url.auth)
  browser = await openChromium()
}, BROWSER_TIMEOUT)
afterAll(async () => {
  await browser?.close()
  app?.stop()
}, BROWSER_TIMEOUT)
beforeEach(async () => {
  problems.length = 0
  page = await (await browser.newContext()).newPage()
  page.setDefaultTimeout(BROWSER_TIMEOUT)
  page.on('pageerror', (error) => problems.push(error.message))
  await page.goto(`${app.origin}/login.html`)
})

/** A user whose email is verified, so that their sign-in asks for the code of a new device. */
async function verifiedUser(): Promise<string> {
  const email = newEmail()
  const { body } = await here.auth('POST /auth/register', { body: { email, password: PASSWORD } })
  const { code } = await nextMail(here.system, email)
  await here.auth('POST /auth/email-verification-confirm', { body: { challenge_id: body.challenge_id, code } })
  return email
}

async function signIn(login: string, password = PASSWORD): Promise<void> {
  await page.getByLabel('Email or username').fill(login)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
}

test('the page has 30 lines and the address of the tour', () => {
  expect(PRINTED?.trimEnd().split('\n')).toHaveLength(30)
  expect(PRINTED?.split(ADDRESS)).toHaveLength(2)
})

test('a user of an app of another origin signs in, is still there after a reload, and signs out', async () => {
  const email = newEmail()
  await here.auth('POST /auth/register', { body: { email, password: PASSWORD } })
  await signIn(email, 'a wrong password')
  await page.getByText('Invalid credentials').waitFor()
  await signIn(email)
  await page.getByText(`Signed in as ${email}`).waitFor()
  await page.reload()
  await page.getByText(`Signed in as ${email}`).waitFor()
  expect(await page.getByLabel('Password').isVisible()).toBe(false)
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByLabel('Password').waitFor()
  expect(await page.getByText('Signed in as').isVisible()).toBe(false)
  expect(problems).toEqual([])
})

test('a user confirms a new device by the code of the mail, after a wrong one', async () => {
  const email = await verifiedUser()
  await signIn(email)
  await page.getByLabel('Code').waitFor()
  const { code } = await nextMail(here.system, email, 1)
  for (const typed of [code === '000000' ? '000001' : '000000', code]) {
    await page.getByLabel('Code').fill(typed)
    await page.getByRole('button', { name: 'Sign in' }).click()
    if (typed !== code) await page.getByText('The code is wrong').waitFor()
  }
  await page.getByText(`Signed in as ${email}`).waitFor()
  expect(problems).toEqual([])
})

test('without the origin in CORS_ORIGINS the page reports that the server cannot be reached', async () => {
  const other = await serveApp(freePort(), here.system.url.auth)
  other.files['/login.html'] = app.files['/login.html'] ?? ''
  await page.goto(`${other.origin}/login.html`)
  await signIn(newEmail())
  await page.getByText('The server cannot be reached').waitFor()
  other.stop()
})
