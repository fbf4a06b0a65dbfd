import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Glob } from 'bun'
import { scripts } from '../../package.json'

const ROOT = join(import.meta.dir, '../..')
const fast = scripts['test:fast'].split('&& bun test ')[1]?.split(' ') ?? []
const folders = fast.filter((word) => word.startsWith('./'))
const testFiles = [...new Glob('{bench,cli,client,db,guard,services,tests}/**/*.test.ts').scanSync({ cwd: ROOT })]
const fastFiles = testFiles.filter(
  (file) => folders.some((folder) => `./${file}`.startsWith(`${folder}/`)) && !file.endsWith('.slow.test.ts'),
)

test('`bun run test` runs every test, those of `test:fast` included', () => {
  const words = scripts.test.split('&& bun test ')[1]?.split(' ') ?? []
  expect(words.length).toBeGreaterThan(0)
  for (const word of words) expect(word).toMatch(/^--(parallel|timeout)=\d+$/)
})

test('`bun run test:fast` skips files named *.slow.test.ts, and no others', () => {
  expect(fast.filter((word) => /ignore|pattern/.test(word))).toEqual(["--path-ignore-patterns='**/*.slow.test.ts'"])
  for (const folder of folders)
    expect([folder, fastFiles.some((file) => `./${file}`.startsWith(`${folder}/`))]).toEqual([folder, true])
})

test('a file of `test:fast` starts no service in another process', () => {
  expect(fastFiles.length).toBeGreaterThan(50)
  const starting = fastFiles.filter((file) =>
    /import .*\b(processes|overProcesses|openInstance)\b.* from '.*support\//.test(
      readFileSync(join(ROOT, file), 'utf8'),
    ),
  )
  expect(starting).toEqual([])
})
