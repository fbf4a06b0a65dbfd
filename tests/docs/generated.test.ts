import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BLOCK_NAMES, blocksOf, pages, render } from '../../docs/generate.ts'
import { settingDefaults } from '../../services/kit/process/config.ts'
import { SETTING_DESCRIPTIONS } from '../../services/kit/process/setting-descriptions.ts'
import { SERVICES } from '../../services/registry.ts'

const read = (page: string) => readFileSync(join(import.meta.dir, '../..', page), 'utf8')

test.each(pages())('%s is as the code generates it; `bun run docs` brings it up to date', async (page) => {
  const text = read(page)
  expect(await render(text)).toBe(text)
})

test('every part that can be generated is in exactly one page', () => {
  expect(
    pages()
      .flatMap((page) => blocksOf(read(page)))
      .sort(),
  ).toEqual([...BLOCK_NAMES].sort())
})

test('every setting is described, and nothing else', () => {
  expect(Object.keys(SETTING_DESCRIPTIONS).sort()).toEqual([...settingDefaults({}, SERVICES).keys()].sort())
})
