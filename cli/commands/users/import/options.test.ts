import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { quoted } from '../../../terminal/shell.ts'
import { Input } from './input.ts'
import { settingsOf } from './options.ts'

test('an import from Firebase without the hash parameters suggests a command that a shell can run', () => {
  const directory = mkdtempSync(join(tmpdir(), 'ch202-options-'))
  try {
    const path = join(directory, "ana's users.json")
    writeFileSync(path, '{}')
    const suggestion = `ch202 users import ${quoted(path)} --format firebase --hash-config <file>`
    expect(() => settingsOf({ format: 'firebase' }, new Input(path))).toThrow(
      expect.objectContaining({ details: expect.objectContaining({ suggestion }) }),
    )
  } finally {
    rmSync(directory, { recursive: true })
  }
})
