import { describe, expect, test } from 'bun:test'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dir, '../..')
const page = readFileSync(join(ROOT, 'docs/operate/reliability.md'), 'utf8')
const named = new Set(page.match(/[\w./-]+\.test\.ts/g))

describe('docs/operate/reliability.md', () => {
  test('names no test that is not there', () => {
    expect(named.size).toBeGreaterThan(0)
    expect([...named].filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
  })

  test('names every test of faults', () => {
    const there = readdirSync(join(ROOT, 'tests/faults')).filter((name) => name.endsWith('.test.ts'))
    expect(there.length).toBeGreaterThan(0)
    expect(there.map((name) => `tests/faults/${name}`).filter((path) => !named.has(path))).toEqual([])
  })
})
