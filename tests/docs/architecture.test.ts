import { describe, expect, test } from 'bun:test'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dir, '../..')
const page = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8')

/** The direct children of a folder that are folders. */
const foldersIn = (path: string) =>
  readdirSync(join(ROOT, path), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)

test('every path of the page exists', () => {
  const paths = [...page.matchAll(/`((?:services|db|cli|guard|bench|tests|docs)\/[\w./-]+)`/g)].map(
    ([, path = '']) => path,
  )
  expect(paths.length).toBeGreaterThan(30)
  expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
})

describe('the page names every folder of', () => {
  test.each(['services', 'services/kit', 'services/auth', 'db', 'cli'])('%s', (path) => {
    const missing = foldersIn(path).filter((name) => !page.includes(`${name}/`) && !page.includes(`${path}/${name}`))
    expect(missing).toEqual([])
  })
})

test('the glossary is in the order of the alphabet', () => {
  const terms = [...(page.split('## Glossary')[1] ?? '').matchAll(/^\| ([a-z][\w ()-]+?) +\|/gm)].map(
    ([, term = '']) => term,
  )
  expect(terms.length).toBeGreaterThanOrEqual(30)
  expect(terms).toEqual(terms.toSorted())
})
