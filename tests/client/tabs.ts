import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import type { Change, Client } from '../../client/index.ts'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { BROWSER_TIMEOUT } from '../support/browser/chromium.ts'
import { ROOT } from '../support/tool.ts'

/** The globals of a tab. */
interface TabGlobals {
  client: Client
  /** The changes that the tab was told of. */
  changes: Change[]
  /** The work of the tab (`busy`), and whether it ends after the request that is under way. */
  work: Promise<void>
  isDone: boolean
  /** The statuses or error codes of the requests of `busy`, with how often each came. */
  outcomes: Record<string, number>
}
declare const window: TabGlobals

const PAGE = (url: string) => `<!doctype html><title>A tab</title>
  <script type="module">
    import { createClient } from '/ch202-client.js'
    window.changes = []
    window.client = createClient({ url: '${url}' })
    client.on('change', (change) => changes.push(change))
  </script>`

/** An app of another origin than Ch202: a server of static files. */
export interface App {
  origin: string
  /** Files by path. */
  files: Record<string, string>
  stop(): void
}

/** @param port free; the origin must be in CORS_ORIGINS before @param url the address of Ch202 */
export async function serveApp(port: number, url: string): Promise<App> {
  const built = await Bun.build({ entrypoints: [join(ROOT, 'client/index.ts')], target: 'browser', minify: true })
  const code = await built.outputs[0]?.text()
  const files: Record<string, string> = { '/': PAGE(url), '/ch202-client.js': code ?? '' }
  const server = Bun.serve({
    port,
    hostname: '127.0.0.1',
    fetch(request) {
      const { pathname } = new URL(request.url)
      const type = pathname.endsWith('.js') ? 'text/javascript' : 'text/html'
      const text = files[pathname]
      return new Response(text ?? '', { status: text === undefined ? 404 : 200, headers: { 'content-type': type } })
    },
  })
  return { origin: `http://127.0.0.1:${port}`, files, stop: () => void server.stop(true) }
}

/** Parts of a browser that old ones, and pages without https, lack. */
export type Lacking = 'navigator.locks' | 'BroadcastChannel'

const REMOVALS: Record<Lacking, string> = {
  'navigator.locks': `Object.defineProperty(Navigator.prototype, 'locks', { value: undefined })`,
  BroadcastChannel: 'delete window.BroadcastChannel',
}

/** The tabs of one browser profile, in which a new user is signed in. */
export interface Tabs {
  context: BrowserContext
  email: string
  pages: Page[]
  /** Opens one more tab. */
  open(): Promise<Page>
  close(): Promise<void>
}

/** Opens `count` tabs of the app and signs a new user in, in the first of them. */
export async function openTabs(
  browser: Browser,
  app: App,
  count: number,
  lacking: readonly Lacking[] = [],
): Promise<Tabs> {
  const context = await browser.newContext()
  context.setDefaultTimeout(BROWSER_TIMEOUT)
  for (const part of lacking) await context.addInitScript(REMOVALS[part])
  const pages: Page[] = []
  const open = async () => {
    const page = await context.newPage()
    await page.goto(`${app.origin}/`)
    await page.waitForFunction(() => window.client)
    pages.push(page)
    return page
  }
  for (let n = 0; n < count; n++) await open()
  const email = newEmail()
  const credentials = { email, password: PASSWORD }
  const status = await pages[0]?.evaluate(async (user) => (await window.client.signUp(user)).status, credentials)
  if (status !== 'complete') throw new Error(`sign-up: ${status}`)
  return { context, email, pages, open, close: () => context.close() }
}

/** Sends requests of the user one after the other until `done`. */
export function busy(page: Page): Promise<void> {
  return page.evaluate(() => {
    window.isDone = false
    window.outcomes = {}
    const work = async () => {
      while (!window.isDone) {
        const outcome = await window.client.fetch('/api/v1/auth/me').then(
          ({ status }) => status,
          ({ code }) => code,
        )
        window.outcomes[outcome] = (window.outcomes[outcome] ?? 0) + 1
      }
    }
    window.work = work()
  })
}

/** Ends the work. @returns its outcomes */
export function done(page: Page): Promise<Record<string, number>> {
  return page.evaluate(async () => {
    window.isDone = true
    await window.work
    return window.outcomes
  })
}

/** The email of the user who is signed in, as the tab sees it; null if nobody is. */
export function userIn(page: Page): Promise<string | null> {
  return page.evaluate(async () => (await window.client.user())?.email ?? null)
}

/** Refreshes in a tab, as after a 401. @returns the new access token, or the code of the failure */
export function refreshIn(page: Page): Promise<string | null> {
  return page.evaluate(async () => {
    const token = await window.client.accessToken()
    return await window.client.accessToken(token ?? undefined).catch(({ code }) => code as string)
  })
}

export function changesIn(page: Page): Promise<Change[]> {
  return page.evaluate(() => window.changes)
}

/**
 * Stops a tab as a browser does with one in the background: no timer runs, and no message or answer is received.
 * @returns wakes it up
 */
export async function freeze(page: Page): Promise<() => Promise<void>> {
  // Chromium freezes only hidden pages, and without a screen every page is visible. A debugger stops them all.
  const session = await page.context().newCDPSession(page)
  await session.send('Debugger.enable')
  await session.send('Debugger.pause')
  return async () => {
    await session.send('Debugger.disable')
    await session.detach()
  }
}
