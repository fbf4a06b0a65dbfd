import { describe, expect, test } from 'bun:test'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ADDED_SERVICES } from '../support/added-services.ts'

const ROOT = join(import.meta.dir, '../..')
const page = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8')

/** The direct children of a folder that are folders, except those of services that `ch202 new service` added. */
const foldersIn = (path: string) =>
  readdirSync(join(ROOT, path), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !(entry.name in ADDED_SERVICES))
    .map(({ name }) => name)

test('every path of the page exists', () => {
  const paths = [...page.matchAll(/`((?:services|db|cli|guard|bench|tests|docs)\/[\w./-]+)`/g)].map(
    ([, path = '']) => path,
  )
  expect(paths.length).toBeGreaterThan(30)
  expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
})

/** Returns the paths of the tree under "Folders", which shows what is inside a folder by two more spaces. */
function pathsOfTree(): string[] {
  const [tree = ''] = /(?<=^## Folders\n\n```\n)[\s\S]*?(?=^```$)/m.exec(page) ?? []
  const parents: string[] = []
  return tree
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [, indent = '', name = ''] = /^( *)(\S+)/.exec(line) ?? []
      parents.splice(indent.length / 2, Infinity, name)
      return parents.join('')
    })
}

test('every path of the tree exists', () => {
  const paths = pathsOfTree()
  expect(paths).toContain('services/auth/routes/')
  expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
})

describe('the page names every folder of', () => {
  test.each(['services', 'services/kit', 'services/auth', 'db', 'cli'])('%s', (path) => {
    const missing = foldersIn(path).filter((name) => !page.includes(`${name}/`) && !page.includes(`${path}/${name}`))
    expect(missing).toEqual([])
  })
})

test('the glossary is in alphabetical order', () => {
  const terms = [...(page.split('## Glossary')[1] ?? '').matchAll(/^\| ([a-z][\w ()-]+?) +\|/gm)].map(
    ([, term = '']) => term,
  )
  expect(terms.length).toBeGreaterThanOrEqual(30)
  expect(terms).toEqual(terms.toSorted())
})
