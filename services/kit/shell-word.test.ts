import { expect, test } from 'bun:test'
import { quoted } from './shell-word.ts'

test.each([
  ['ana@example.org', 'ana@example.org'],
  ['--role=ADMIN', '--role=ADMIN'],
  ['', "''"],
  ['two words', "'two words'"],
  ["O'Neill", "'O'\\''Neill'"],
  ['$(reboot)', "'$(reboot)'"],
  ['a*b', "'a*b'"],
  ['~ana', "'~ana'"],
  // Zsh replaces a word that begins so by the path of a command.
  ['=ls', "'=ls'"],
  ['=', "'='"],
  ['a\nb', "'a\nb'"],
])('%j is quoted as %s', (word, expected) => {
  expect(quoted(word)).toBe(expected)
})
