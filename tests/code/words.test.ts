import { describe, expect, test } from 'bun:test'
import { allWordOffences, pageOffences, wordOffences } from './words.ts'

test('code and pages use the terms of the field', () => {
  expect(allWordOffences()).toEqual([])
})

describe('the check of words', () => {
  const refused: [what: string, code: string][] = [
    ['a word of the table in a comment', '// It mends the file.'],
    ['the same in a block comment', '/** Reads the file that it mended. */\nexport const a = 1'],
    ['the same in a text', `throw new Error('There is none')`],
    ['the same in a template', `const text = \`Run \${command}: it mends that\``],
    ['the same between two values', `const text = \`\${a} is made anew \${b}\``],
    ['a comment that begins with a pronoun', '/** What a session keeps. */\nexport interface Session {}'],
    ['a variable that says nothing', 'const said = await call()'],
    ['a parameter', 'export function add(given: number) {}'],
    ['a destructured name', 'const { known } = state'],
    ['a name given to what is destructured', 'const { id: own } = state'],
    ['an arrow function’s parameter', 'list.map((told) => 1)'],
  ]
  test.each(refused)('refuses %s', (_, code) => {
    expect(wordOffences('services/auth/login/login.ts', code)).toHaveLength(1)
  })

  const allowed: [what: string, code: string][] = [
    ['a property of that name', 'const row = { known: true }\nconst value = row.known'],
    ['a verb at the beginning', '/** Reads the row. */\nexport function row() {}'],
    ['a name in code at the beginning', '/** `What` is a name here. */\nexport const a = 1'],
    ['a path', `import { a } from './outside.ts'`],
    ['a word inside another', 'const amendment = recommended'],
  ]
  test.each(allowed)('accepts %s', (_, code) => {
    expect(wordOffences('services/auth/login/login.ts', code)).toEqual([])
  })

  test('reads pages line by line', () => {
    expect(pageOffences('docs/page.md', 'Fine.\n\nThe doctor mends it.')).toEqual([
      'docs/page.md:3 "mends": say fix, repair',
    ])
  })
})
