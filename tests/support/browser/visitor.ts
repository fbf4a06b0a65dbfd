/** The answer that a visitor sees, after the redirects that precede it. */
export interface Seen {
  status: number
  /** The path and the query at which the redirects ended. */
  at: string
  /** The HTML of the page, or whatever else was sent. */
  text: string
  headers: Headers
}

/**
 * Someone who uses the pages in a browser without JavaScript: keeps cookies, follows redirects, and sends the forms that
 * pages show with their hidden fields. For journeys that need no more than HTTP.
 */
export class Visitor {
  private readonly cookies = new Map<string, string>()

  /** @param base the address of the pages @param headers headers of every request */
  constructor(
    private readonly base: string,
    private readonly headers: Record<string, string> = {},
  ) {}

  /** Opens a page. */
  open(path: string): Promise<Seen> {
    return this.send(path, {})
  }

  /**
   * Opens a page, fills in its first form that has these fields, and sends it.
   * @throws Error if the page has no such form
   */
  async fillIn(path: string, fields: Record<string, string>): Promise<Seen> {
    return await this.submit(path, fields, (form) =>
      Object.keys(fields).every((name) => form.includes(`name="${name}"`)),
    )
  }

  /** Presses the button that every page has for who is signed in. */
  signOut(): Promise<Seen> {
    return this.submit('/account', {}, (form) => form.includes('action="/sign-out"'))
  }

  private async submit(path: string, fields: Record<string, string>, isWanted: (form: string) => boolean) {
    const { at, text } = await this.open(path)
    const form = [...text.matchAll(/<form [\s\S]*?<\/form>/g)].map(([html]) => html).find(isWanted)
    if (form === undefined) throw new Error(`${at} has no form with ${Object.keys(fields)}:\n${text}`)
    const hidden = [...form.matchAll(/<input[^>]*type="hidden"[^>]*>/g)].map(([input]) => [
      attribute(input, 'name'),
      attribute(input, 'value'),
    ])
    const body = new URLSearchParams({ ...Object.fromEntries(hidden), ...fields })
    return await this.send(attribute(form, 'action') || at, { method: 'POST', body })
  }

  private async send(path: string, init: RequestInit): Promise<Seen> {
    const answer = await fetch(this.base + path, {
      ...init,
      redirect: 'manual',
      headers: {
        accept: 'text/html',
        'sec-fetch-site': 'same-origin',
        cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        ...this.headers,
      },
    })
    for (const cookie of answer.headers.getSetCookie()) {
      const [pair = ''] = cookie.split(';')
      const equals = pair.indexOf('=')
      if (/; Max-Age=0\b/i.test(cookie)) this.cookies.delete(pair.slice(0, equals))
      else this.cookies.set(pair.slice(0, equals), pair.slice(equals + 1))
    }
    const text = await answer.text()
    const location = answer.headers.get('location')
    if (location !== null) return await this.send(location, {})
    return { status: answer.status, at: path, text, headers: answer.headers }
  }
}

function attribute(html: string, name: string): string {
  const [, value = ''] = new RegExp(`\\b${name}="([^"]*)"`).exec(html) ?? []
  return value.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')
}

/** Opens the sign-in and every file that it names. @returns the status and the media type of each, the page first */
export async function openSignIn(base: string): Promise<{ text: string; answers: string[] }> {
  const page = await fetch(`${base}/sign-in`, { headers: { accept: 'text/html' } })
  const text = await page.text()
  const files = [...text.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)].map(([, path = '']) => path)
  const all = [page, ...(await Promise.all(files.map((path) => fetch(base + path))))]
  return { text, answers: all.map(({ headers, status }) => `${status} ${headers.get('content-type')}`) }
}

/** The answers of `openSignIn`. */
export const SIGN_IN_ANSWERS: readonly string[] = [
  '200 text/html; charset=utf-8',
  '200 image/svg+xml',
  '200 text/css; charset=utf-8',
  '200 text/javascript; charset=utf-8',
]
