import { describe, expect, test } from 'bun:test'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dir, '../..')
const page = readFileSync(join(ROOT, 'docs/operate/reliability.md'), 'utf8')
const testFiles = new Set(page.match(/[\w./-]+\.test\.ts/g))

describe('docs/operate/reliability.md', () => {
  test('names only tests that exist', () => {
    expect(testFiles.size).toBeGreaterThan(0)
    expect([...testFiles].filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
  })

  test('names every test of tests/faults', () => {
    const faultTests = readdirSync(join(ROOT, 'tests/faults')).filter((name) => name.endsWith('.test.ts'))
    expect(faultTests.length).toBeGreaterThan(0)
    expect(faultTests.map((name) => `tests/faults/${name}`).filter((path) => !testFiles.has(path))).toEqual([])
  })
})
