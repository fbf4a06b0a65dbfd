import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BLOCK_NAMES, blocksOf, pages, render } from '../../docs/generate.ts'
import { settingDefaults } from '../../services/kit/process/config.ts'
import { settingDescriptions } from '../../services/kit/process/setting-descriptions.ts'
import { SERVICE_NAMES, SERVICES } from '../../services/registry.ts'

const read = (page: string) => readFileSync(join(import.meta.dir, '../..', page), 'utf8')

test.each(pages())('the generated parts of %s are up to date (`bun run docs` updates them)', async (page) => {
  const text = read(page)
  expect(await render(text)).toBe(text)
})

test('every generated part is in exactly one page', () => {
  expect(
    pages()
      .flatMap((page) => blocksOf(read(page)))
      .sort(),
  ).toEqual([...BLOCK_NAMES].sort())
})

test('every setting has a description, and every description a setting', () => {
  expect(Object.keys(settingDescriptions(SERVICE_NAMES)).sort()).toEqual(
    [...settingDefaults({}, SERVICES).keys()].sort(),
  )
})
