import { afterAll, beforeAll } from 'bun:test'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { BROWSER_TIMEOUT, openChromium } from '../../support/browser/chromium.ts'
import { PATIENCE } from '../../support/eventually.ts'
import { CERTIFICATE, CERTIFICATE_KEY } from '../../support/servers/certificate.ts'
import { freePort } from '../../support/servers/ports.ts'
import { inProcess, type System } from '../../support/system.ts'

/** A request that a host got. */
export interface Got {
  method: string
  url: string
  headers: Headers
}

/** A page or another answer of a foreign host. */
type Answer = string | (() => Response)

/**
 * The pages behind TLS at a host, the hosts around them, and Chromium: it gets real cookies, origins and sites.
 * `pages`: the pages. `sibling`: another host of the same site. `foreign`: a host of another site.
 */
export class Hosts {
  readonly pages: string
  readonly sibling: string
  readonly foreign: string
  readonly gotByPages: Got[] = []
  readonly gotByOthers: Got[] = []
  /** The answers of the hosts around the pages, by path. */
  readonly answers = new Map<string, Answer>()
  #system: System | undefined
  #browser: Browser | undefined
  private readonly contexts: BrowserContext[] = []
  private readonly servers: { stop(force: boolean): Promise<void> }[] = []
  private readonly ports: readonly [number, number]

  constructor(private readonly env: Record<string, string>) {
    this.ports = [freePort(), freePort()]
    const [pagesPort, others] = this.ports
    this.pages = `https://accounts.shop.example:${pagesPort}`
    this.sibling = `https://www.shop.example:${others}`
    this.foreign = `https://evil.example:${others}`
  }

  get system(): System {
    if (!this.#system) throw new Error('The pages have not started')
    return this.#system
  }

  async start(): Promise<void> {
    const system = await inProcess({
      PUBLIC_URL: this.pages,
      RETURN_ORIGINS: this.sibling,
      RATE_LIMIT: 'off',
      ...this.env,
    })
    this.#system = system
    const tls = { cert: CERTIFICATE, key: CERTIFICATE_KEY }
    const [pagesPort, others] = this.ports
    this.servers.push(
      Bun.serve({
        port: pagesPort,
        hostname: '127.0.0.1',
        tls,
        fetch: async (request) => {
          const { headers, method, url } = request
          this.gotByPages.push({ method, url, headers })
          const { pathname, search } = new URL(url)
          const body = method === 'GET' || method === 'HEAD' ? {} : { body: await request.arrayBuffer() }
          const init = { method, headers, redirect: 'manual' as const, decompress: false, ...body }
          return await fetch(system.url.web + pathname + search, init)
        },
      }),
      Bun.serve({
        port: others,
        hostname: '127.0.0.1',
        tls,
        fetch: ({ headers, method, url }) => {
          this.gotByOthers.push({ method, url, headers })
          const answer = this.answers.get(new URL(url).pathname)
          if (typeof answer === 'function') return answer()
          return new Response(answer ?? '<!doctype html><title>Another host</title>', {
            headers: { 'content-type': 'text/html; charset=utf-8' },
          })
        },
      }),
    )
    this.#browser = await openChromium({
      args: ['--host-resolver-rules=MAP *.example 127.0.0.1'],
      // Pages that the browser keeps in memory are what a person sees who goes back.
      ignoreDefaultArgs: ['--disable-back-forward-cache'],
    })
  }

  /** Opens a page in a browser of its own, with no cookies. */
  async open(options: { javaScriptEnabled?: boolean } = {}): Promise<Page> {
    if (!this.#browser) throw new Error('Chromium has not started')
    const context = await this.#browser.newContext({ ignoreHTTPSErrors: true, locale: 'en', ...options })
    context.setDefaultTimeout(BROWSER_TIMEOUT)
    this.contexts.push(context)
    return await context.newPage()
  }

  async closePages(): Promise<void> {
    await Promise.all(this.contexts.splice(0).map((context) => context.close()))
  }

  async stop(): Promise<void> {
    await this.#browser?.close()
    await Promise.all(this.servers.map((server) => server.stop(true)))
    await this.#system?.stop()
  }
}

/** Starts the hosts before the tests of the `describe` that calls it, and stops them after these. @param env settings */
export function hosts(env: Record<string, string> = {}): Hosts {
  const all = new Hosts(env)
  beforeAll(() => all.start(), PATIENCE)
  afterAll(() => all.stop(), PATIENCE)
  return all
}
