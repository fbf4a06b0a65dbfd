import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { EXIT, Failure } from '../../exit.ts'
import type { NewFile } from './templates.ts'

const BIOME = 'node_modules/@biomejs/biome/bin/biome'

/**
 * Formats files as the checkout does: the lengths of lines and the order of imports depend on the names in them.
 * @throws Failure when the formatter is not installed
 */
export function formatted(root: string, files: readonly NewFile[]): NewFile[] {
  const workplace = mkdtempSync(join(tmpdir(), 'ch202-new-'))
  try {
    const { $schema, overrides, vcs, ...settings } = JSON.parse(readFileSync(join(root, 'biome.json'), 'utf8'))
    const config = { ...settings, linter: { enabled: false }, files: { includes: ['**'] } }
    writeFileSync(join(workplace, 'biome.json'), JSON.stringify(config))
    for (const { path, text } of files) {
      mkdirSync(join(workplace, dirname(path)), { recursive: true })
      writeFileSync(join(workplace, path), text)
    }
    const { exitCode, stderr } = Bun.spawnSync([process.execPath, join(root, BIOME), 'check', '--write', '.'], {
      cwd: workplace,
      stdin: 'ignore',
    })
    if (exitCode !== 0)
      throw new Failure(EXIT.failed, `The files can't be formatted: ${stderr.toString().trim().split('\n')[0]}`, {
        suggestion: 'bun install --frozen-lockfile',
      })
    return files.map(({ path }) => ({ path, text: readFileSync(join(workplace, path), 'utf8') }))
  } finally {
    rmSync(workplace, { recursive: true, force: true })
  }
}
