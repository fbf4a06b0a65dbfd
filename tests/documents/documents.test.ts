import { expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../support/tool.ts'

test('docs/integrate/compatibility.md has a row for each tested line, and no other', () => {
  const linesOf = (text: string, pattern: RegExp) =>
    [...new Set([...text.matchAll(pattern)].map(([, line]) => line))].sort()
  const tests = readdirSync(import.meta.dir)
    .filter((name) => name.endsWith('.test.ts') && name !== 'documents.test.ts')
    .map((name) => readFileSync(join(import.meta.dir, name), 'utf8'))
  const [table = ''] = readFileSync(join(ROOT, 'docs/integrate/compatibility.md'), 'utf8').split(
    '## Answered differently',
  )
  expect(linesOf(table, /^\| (00\d:\d+) +\|/gm)).toEqual(linesOf(tests.join('\n'), /'(00\d:\d+) /g))
})
