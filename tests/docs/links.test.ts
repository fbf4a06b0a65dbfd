import { describe, expect, test } from 'bun:test'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pages } from '../../docs/generate.ts'

const ROOT = join(import.meta.dir, '../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

/** Returns the anchor of a heading, as GitHub creates it. */
function anchorOf(heading: string): string {
  const text = heading.replaceAll(/[`*_]|\[([^\]]*)\]\([^)]*\)/g, '$1')
  return text
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')
}

function anchorsOf(page: string): string[] {
  return [...page.replaceAll(/^```[\s\S]*?^```$/gm, '').matchAll(/^#{1,6} (.*)$/gm)].map(([, text = '']) =>
    anchorOf(text),
  )
}

/** Returns the relative links of a page whose file or heading does not exist. */
function brokenLinks(path: string, text: string): string[] {
  const links = [...text.replaceAll(/^```[\s\S]*?^```$/gm, '').matchAll(/\]\(([^)\s]+)\)/g)].map(
    ([, link = '']) => link,
  )
  return links.filter((link) => {
    if (/^[a-z]+:/.test(link) || link.startsWith('../../compare') || link.startsWith('../../releases')) return false
    const [file = '', anchor] = link.split('#')
    const target = file === '' ? path : join(dirname(path), file)
    if (!existsSync(join(ROOT, target))) return true
    return anchor !== undefined && statSync(join(ROOT, target)).isFile() && !anchorsOf(read(target)).includes(anchor)
  })
}

test.each([...pages(), 'README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md'])(
  '%s has no broken link',
  (path) => {
    expect(brokenLinks(path, read(path))).toEqual([])
  },
)

describe('the check of links', () => {
  test('reports a missing file and a missing heading', () => {
    const text = '[a](missing.md) [b](architecture.md#no-such-heading) [c](#nowhere) [d](https://example.org)'
    expect(brokenLinks('docs/page.md', text)).toContain('missing.md')
    expect(brokenLinks('docs/operate/tool.md', '[c](#no-such-heading)')).toEqual(['#no-such-heading'])
    expect(brokenLinks('docs/page.md', '[d](https://example.org)')).toEqual([])
  })
})

// Such as a suggestion of the tool to read docs/operate/mail.md.
test('every page that code, help or a comment mentions exists', async () => {
  const mentions = new Map<string, string>()
  for (const path of new Bun.Glob('{services,db,cli,client,guard,tests,bench}/**/*.{ts,tmpl}').scanSync(ROOT))
    for (const [page] of read(path).matchAll(/\bdocs\/[\w/-]+\.md\b/g)) mentions.set(page, path)
  const missing = [...mentions].filter(([page]) => !existsSync(join(ROOT, page)) && page !== 'docs/page.md')
  expect(missing).toEqual([])
})
