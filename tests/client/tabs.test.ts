import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import type { Browser, Page } from 'playwright-core'
import { PASSWORD } from '../support/actors.ts'
import { BROWSER_TIMEOUT, openChromium } from '../support/browser/chromium.ts'
import { eventually } from '../support/eventually.ts'
import { as } from '../support/http.ts'
import { running } from '../support/running.ts'
import { freePort } from '../support/servers/ports.ts'
import { lineage, type RefreshProxy, refreshProxy } from '../support/servers/refresh-proxy.ts'
import { inProcess } from '../support/system.ts'
import { sliced, WHOLE } from '../support/whole.ts'
import {
  type App,
  busy,
  changesIn,
  done,
  freeze,
  type Lacking,
  openTabs,
  refreshIn,
  serveApp,
  type Tabs,
  userIn,
} from './tabs.ts'

const port = freePort()
const settings = {
  RATE_LIMIT: 'off',
  CORS_ORIGINS: `http://127.0.0.1:${port}`,
  LOG_LEVEL: 'silent',
  // A repeated refresh may be late on a busy machine. One with a token before the last still ends the session.
  REFRESH_REUSE_GRACE: '10m',
}
const lasting = running(inProcess, settings)
/** Access tokens of this one are valid for two seconds, which a request may take on a busy machine. */
const brief = running(inProcess, { ...settings, JWT_EXPIRE: '2s' })
/** The system behind the proxy. */
let here = lasting
let proxy: RefreshProxy
let app: App
let browser: Browser
let tabs: Tabs
beforeAll(async () => {
  proxy = await refreshProxy(() => here.system.url.auth)
  app = await serveApp(port, proxy.url)
  browser = await openChromium()
}, BROWSER_TIMEOUT)
beforeEach(() => {
  proxy.reset()
  here = lasting
})
afterAll(async () => {
  await browser?.close()
  app?.stop()
  proxy?.stop()
}, BROWSER_TIMEOUT)

/** Runs a test with tabs of its own, and checks at its end that their session was not lost. */
function withTabs(count: number, lacking: readonly Lacking[], run: (pages: Page[]) => Promise<void>) {
  return async () => {
    tabs = await openTabs(browser, app, count, lacking)
    try {
      await run(tabs.pages)
      proxy.fate = () => 'pass'
      proxy.expiresIn = undefined
      const open = tabs.pages.filter((page) => !page.isClosed())
      for (const page of open) {
        expect(await refreshIn(page)).toMatch(/^ey/)
        await eventually(async () => (await userIn(page).catch(() => undefined)) === tabs.email)
        expect((await changesIn(page)).filter(({ signedIn }) => !signedIn)).toEqual([])
      }
      expect(lineage(proxy.refreshes).strays).toEqual([])
      const user = await here.users(`GET /users/by-email/${tabs.email}`, { headers: as.operator })
      const sessions = await here.auth(`GET /auth/sessions?user_id=${user.body.id}`, { headers: as.operator })
      expect(sessions.body.items).toHaveLength(1)
    } finally {
      await tabs.close()
    }
  }
}
declare const window: { client: import('../../client/index.ts').Client }

/** Lets all tabs send requests, each with a token that is too old, until there were so many refreshes. */
async function refreshAll(pages: Page[], count: number): Promise<void> {
  proxy.expiresIn = 0
  // Each token so far is valid for an hour: the first refresh gives one that is too old at once.
  if (pages[0]) await refreshIn(pages[0])
  for (const page of pages) await busy(page)
  await eventually(() => proxy.refreshes.length >= count)
  for (const page of pages) {
    const outcomes = await done(page)
    expect(Object.keys(outcomes)).toEqual(['200'])
  }
}

const REFRESHES = WHOLE ? 1000 : 50
const EVERYTHING: readonly Lacking[] = []
const NEITHER: readonly Lacking[] = ['navigator.locks', 'BroadcastChannel']

test(
  `five tabs refresh ${REFRESHES} times, one at a time, and lose no session`,
  withTabs(5, EVERYTHING, async (pages) => {
    await refreshAll(pages, REFRESHES)
    expect(proxy.mostAtOnce).toBe(1)
    // No tab saw an older token than the last one, which the server forgives once.
    const sent = proxy.refreshes.map((refresh) => refresh.sent)
    expect(sent.length - new Set(sent).size).toBe(0)
  }),
)

test('five tabs refresh tokens that are valid for two seconds', async () => {
  here = brief
  await withTabs(5, EVERYTHING, async (pages) => {
    for (const page of pages) await busy(page)
    await eventually(() => proxy.refreshes.length >= (WHOLE ? 3 : 2))
    // On a busy machine a token may expire on its way, twice.
    for (const page of pages)
      expect(Object.keys(await done(page)).filter((outcome) => !['200', '401'].includes(outcome))).toEqual([])
  })()
})

describe.each(
  sliced(
    [
      ['a browser', EVERYTHING, 5, WHOLE ? 60 : 20],
      ['a browser without locks and channels', NEITHER, 3, 3],
    ] as const,
    2,
  ),
)('in %s', (_, lacking, tabCount, count) => {
  test(
    'tabs of which every third answer is lost stay signed in',
    withTabs(tabCount, lacking, async (pages) => {
      let requests = 0
      proxy.fate = (path) => (path.endsWith('/refresh') && ++requests % 3 === 0 ? 'lost' : 'pass')
      await refreshAll(pages, count)
    }),
  )

  test(
    'a tab that is closed during a refresh is replaced by another one, which nobody uses',
    withTabs(3, lacking, async ([first]) => {
      const { promise, resolve } = Promise.withResolvers<'lost'>()
      proxy.fate = (path) => (path.endsWith('/refresh') && proxy.refreshes.length === 0 ? promise : 'pass')
      void (first && refreshIn(first).catch(() => undefined))
      await eventually(() => proxy.refreshes.length === 1)
      await first?.close()
      await eventually(() => proxy.refreshes.length > 1)
      resolve('lost')
      const [lost, repeated] = proxy.refreshes
      expect(repeated).toEqual(lost)
    }),
  )

  test(
    'a sign-out and a sign-in reach every tab',
    withTabs(3, lacking, async (pages) => {
      const [first, second, third] = pages as [Page, Page, Page]
      await eventually(async () => (await changesIn(third)).length === 1)
      expect(await second.evaluate(() => window.client.signOut())).toBe(true)
      for (const page of pages) await eventually(async () => (await changesIn(page)).length === 2)
      expect(await userIn(first)).toBeNull()
      const credentials = { login: tabs.email, password: PASSWORD }
      await first.evaluate((user) => window.client.signIn(user), credentials)
      for (const page of pages) await eventually(async () => (await changesIn(page)).length === 3)
      for (const page of pages) {
        const changes = await changesIn(page)
        expect(changes.map(({ reason }) => reason)).toEqual(['signed_in', 'signed_out', 'signed_in'])
        await page.evaluate(() => (window as unknown as { changes: unknown[] }).changes.splice(0))
      }
    }),
  )
})

test(
  'a page that is left during a refresh is followed by one that repeats it',
  withTabs(1, EVERYTHING, async ([page]) => {
    const { promise, resolve } = Promise.withResolvers<'lost'>()
    proxy.fate = (path) => (path.endsWith('/refresh') && proxy.refreshes.length === 0 ? promise : 'pass')
    void page?.evaluate(() => {
      void window.client.accessToken().then((token) => window.client.accessToken(token ?? undefined))
    })
    await eventually(() => proxy.refreshes.length === 1)
    await page?.reload()
    await eventually(() => proxy.refreshes.length === 2)
    resolve('lost')
  }),
)

test(
  'tabs that slept go on with the tokens of those that did not',
  withTabs(5, EVERYTHING, async (pages) => {
    const [awake, ...asleep] = pages as [Page, ...Page[]]
    const wakes = await Promise.all(asleep.map(freeze))
    await refreshAll([awake], WHOLE ? 30 : 10)
    for (const wake of wakes) await wake()
    // The last token was too old at once: the next use refreshes, and all others get what it got.
    proxy.expiresIn = undefined
    const token = await awake.evaluate(() => window.client.accessToken())
    for (const page of asleep) expect(await page.evaluate(() => window.client.accessToken())).toBe(token)
    const sent = proxy.refreshes.map((refresh) => refresh.sent)
    expect(sent).toEqual([...new Set(sent)])
  }),
)

test(
  'a tab that falls asleep during its refresh keeps no other tab from refreshing',
  withTabs(2, EVERYTHING, async (pages) => {
    const [first, second] = pages as [Page, Page]
    const { promise, resolve } = Promise.withResolvers<'pass'>()
    proxy.fate = (path) => (path.endsWith('/refresh') && proxy.refreshes.length === 0 ? promise : 'pass')
    const refresh = refreshIn(first)
    await eventually(() => proxy.refreshes.length === 1)
    const wake = await freeze(first)
    expect(await refreshIn(second)).toMatch(/^ey/)
    resolve('pass')
    await wake()
    expect(await refresh).toMatch(/^ey/)
  }),
)

test(
  'tabs without a connection fail, and go on when they have one again',
  withTabs(2, EVERYTHING, async (pages) => {
    const [first, second] = pages as [Page, Page]
    await tabs.context.setOffline(true)
    expect(await refreshIn(first)).toBe('network_error')
    expect(await second.evaluate(() => window.client.signedIn())).toBe(true)
    await tabs.context.setOffline(false)
    // Nobody uses a tab: the refresh whose answer is not known is repeated because the connection is back.
    await eventually(() => proxy.refreshes.length > 0)
    expect(await userIn(second)).toBe(tabs.email)
  }),
)

test(
  'an answer that was lost with the connection is asked for again with it',
  withTabs(2, EVERYTHING, async (pages) => {
    const [first] = pages as [Page]
    proxy.fate = (path) => (path.endsWith('/refresh') ? tabs.context.setOffline(true).then(() => 'lost') : 'pass')
    expect(await refreshIn(first)).toBe('network_error')
    // Chromium itself sends a request again on a connection that it used before.
    const lost = proxy.refreshes.length
    expect(lost).toBeGreaterThan(0)
    proxy.fate = () => 'pass'
    await tabs.context.setOffline(false)
    await eventually(() => proxy.refreshes.length > lost)
    expect(lineage(proxy.refreshes)).toEqual({ tokens: 1, strays: [] })
  }),
)

test(
  'a page sends the token to no other origin, by an address or by a redirect',
  withTabs(1, EVERYTHING, async (pages) => {
    const [page] = pages as [Page]
    const tokens: (string | null)[] = []
    const other = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch(request) {
        if (request.method !== 'OPTIONS') tokens.push(request.headers.get('authorization'))
        const headers = {
          'access-control-allow-origin': request.headers.get('origin') ?? '*',
          'access-control-allow-headers': 'authorization',
        }
        return new Response('', { headers })
      },
    })
    await page.evaluate((url) => window.client.fetch(url), other.url.href)
    proxy.redirect = other.url.href
    await page.evaluate(() => window.client.fetch('/api/v1/auth/me').catch(() => undefined))
    proxy.redirect = undefined
    other.stop(true)
    expect(tokens).toEqual([null, null])
  }),
)
