import { expect } from 'bun:test'
import type { Visit } from './visitor.ts'

/** A value that leaves each place of a page that it may stand in: text, an attribute, a script, a style, a comment. */
export const CANARY = `--></title></style></script></textarea></select>"'><img src=x onerror=alert(1) data-canary><script data-canary>alert(1)</script>`
/** The same for values that may not have some of the characters. */
export const SHORT = `"'><b data-canary>`

/** Fails if a page has an element or an attribute that the canary brings, or a script or a style of its own. */
export function expectNoMarkup({ headers, status, text }: Visit, where: string): void {
  expect([where, status < 500]).toEqual([where, true])
  if (!headers.get('content-type')?.startsWith('text/html')) return
  const offences: string[] = []
  const element = ({ attributes, tagName }: HTMLRewriterTypes.Element) => {
    const all = new Map([...attributes].map(([name = '', value = '']) => [name, value]))
    const names = [...all.keys()].filter((name) => /^(on.*|style|srcdoc|formaction|data-canary)$/.test(name))
    offences.push(...names.map((name) => `<${tagName} ${name}>`))
    if (['style', 'iframe', 'object', 'embed', 'base', 'b'].includes(tagName)) offences.push(`<${tagName}>`)
    if (tagName === 'script' && !/^\/assets\/page-[0-9a-f]{10}\.js$/.test(all.get('src') ?? ''))
      offences.push('<script>')
    for (const name of ['href', 'src', 'action']) {
      const address = all.get(name)
      if (address !== undefined && !/^(\/|\/[^/\\].*|#.*|mailto:help@example\.org)$/s.test(address))
        offences.push(`<${tagName} ${name}="${address}">`)
    }
  }
  new HTMLRewriter().on('*', { element }).transform(text)
  expect([where, offences]).toEqual([where, []])
  expect([where, /<[a-z]+ src=x|<script>|<script data/.exec(text)?.[0]]).toEqual([where, undefined])
}
