import { describe, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { filesOfChecks } from '../../docs/generate.ts'

const ROOT = join(import.meta.dir, '../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const PAGES = ['threat-model', 'rules', 'checks', 'asvs'].map((name) => `docs/security/${name}.md`)

/** Returns the cells of all table rows of a page that begin with a number. */
function rowsOf(page: string): string[][] {
  const rows = read(`docs/security/${page}.md`).match(/^\| *\d.*\|$/gm) ?? []
  return rows.map((row) =>
    row
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  )
}

/** Returns the files and directories that a text names in code. */
function pathsIn(text: string): string[] {
  return [
    ...text.matchAll(/`((?:bench|cli|db|docs|services|tests|\.ci)\/[^`\s]+|[\w.-]+\.(?:json|lock|md|toml))`/g),
  ].map(([, path = '']) => path)
}

test('every path that the pages name exists', () => {
  const links = PAGES.flatMap((page) =>
    [...read(page).matchAll(/\]\(([^)#:]+)[^)]*\)/g)].map(([, path = '']) => join('docs/security', path)),
  )
  const paths = [...new Set([...PAGES.flatMap((page) => pathsIn(read(page))), ...links])]
  expect(paths.length).toBeGreaterThan(50)
  expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
})

describe('the checks', () => {
  const files = filesOfChecks()
  const rows = rowsOf('checks')
  /** Number 51 is that of a check that a later version has. */
  const ALL = [...Array.from({ length: 50 }, (_, at) => at + 1), 52]

  test('are listed once each, in order', () => {
    expect(rows.map(([number]) => Number(number))).toEqual(ALL)
  })

  test('each have a test with their number in its title', () => {
    expect(ALL.filter((number) => !files.has(number))).toEqual([])
    expect([...files.keys()].filter((number) => !ALL.includes(number))).toEqual([])
  })

  test('name every file with such a test, and no other', () => {
    const listed = rows.map(([number, , shownBy = '']) => [Number(number), pathsIn(shownBy).sort()])
    expect(listed).toEqual(ALL.map((number) => [number, (files.get(number) ?? []).sort()]))
  })
})

describe('OWASP ASVS 5.0', () => {
  /** Levels of the requirements of each section, in order. The page does not list level 3. */
  const SECTIONS: Record<string, string> = {
    '1.1': '22',
    '1.2': '1111122223',
    '1.3': '112222222223',
    '1.4': '222',
    '1.5': '123',
    '2.1': '122',
    '2.2': '112',
    '2.3': '12223',
    '2.4': '23',
    '3.1': '3',
    '3.2': '113',
    '3.3': '12223',
    '3.4': '11222233',
    '3.5': '11122333',
    '3.6': '3',
    '3.7': '22333',
    '4.1': '12233',
    '4.2': '23333',
    '4.3': '22',
    '4.4': '1222',
    '5.1': '2',
    '5.2': '112333',
    '5.3': '113',
    '5.4': '222',
    '6.1': '122',
    '6.2': '111111112222',
    '6.3': '11223333',
    '6.4': '112233',
    '6.5': '22222333',
    '6.6': '2223',
    '6.7': '33',
    '6.8': '2222',
    '7.1': '222',
    '7.2': '1111',
    '7.3': '22',
    '7.4': '11222',
    '7.5': '223',
    '7.6': '22',
    '8.1': '1233',
    '8.2': '1123',
    '8.3': '133',
    '8.4': '23',
    '9.1': '111',
    '9.2': '1222',
    '10.1': '22',
    '10.2': '223',
    '10.3': '22223',
    '10.4': '1111122222233333',
    '10.5': '22222',
    '10.6': '22',
    '10.7': '222',
    '11.1': '2233',
    '11.2': '22233',
    '11.3': '11233',
    '11.4': '1222',
    '11.5': '23',
    '11.6': '23',
    '11.7': '33',
    '12.1': '12233',
    '12.2': '11',
    '12.3': '22223',
    '13.1': '2333',
    '13.2': '222223',
    '13.3': '2233',
    '13.4': '1222233',
    '14.1': '22',
    '14.2': '12223333',
    '14.3': '122',
    '15.1': '12233',
    '15.2': '12233',
    '15.3': '1222222',
    '15.4': '3333',
    '16.1': '2',
    '16.2': '22222',
    '16.3': '2222',
    '16.4': '222',
    '16.5': '2223',
    '17.1': '23',
    '17.2': '22223333',
    '17.3': '22',
  }
  const REQUIRED = Object.entries(SECTIONS).flatMap(([section, levels]) =>
    [...levels].map((level, at) => ({ number: `${section}.${at + 1}`, level })).filter(({ level }) => level !== '3'),
  )
  const rows = rowsOf('asvs')
  const VERDICTS = ['met', 'not applicable', 'not yet']

  test('has 70 requirements of level 1 and 183 of level 2', () => {
    const count = (which: string) => REQUIRED.filter(({ level }) => level === which).length
    expect([count('1'), count('2')]).toEqual([70, 183])
  })

  test('is listed completely: each requirement once, in order, with its level', () => {
    expect(rows.map(([number, level]) => ({ number, level }))).toEqual(REQUIRED)
  })

  test('has one of three verdicts for each requirement', () => {
    expect(rows.filter(([, , , verdict = '']) => !VERDICTS.includes(verdict))).toEqual([])
  })

  test('names a file for each requirement that is met, and a reason for the others', () => {
    expect(
      rows.filter(([, , , verdict, shownBy = '']) =>
        verdict === 'met' ? pathsIn(shownBy).length === 0 : shownBy.length < 10,
      ),
    ).toEqual([])
  })

  test('has the right totals', () => {
    const count = (level: string, verdict: string) =>
      rows.filter((row) => row[1] === level && row[3] === verdict).length
    for (const level of ['1', '2'])
      expect(read('docs/security/asvs.md').replaceAll(/ +/g, ' ')).toContain(
        `| Level ${level} | ${VERDICTS.map((verdict) => count(level, verdict)).join(' | ')} |`,
      )
  })
})
