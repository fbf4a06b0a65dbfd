import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { EXIT, Failure } from '../../exit.ts'
import type { NewFile } from './templates.ts'

const BIOME = 'node_modules/@biomejs/biome/bin/biome'

/**
 * Files as the checkout's own formatter writes them: how long a line is, and the order of what is imported, depend on
 * the names in them.
 * @throws Failure where the formatter is not installed
 */
export function formatted(root: string, files: readonly NewFile[]): NewFile[] {
  const workplace = mkdtempSync(join(tmpdir(), 'ch202-new-'))
  try {
    const { $schema, overrides, vcs, ...settings } = JSON.parse(readFileSync(join(root, 'biome.json'), 'utf8'))
    const own = { ...settings, linter: { enabled: false }, files: { includes: ['**'] } }
    writeFileSync(join(workplace, 'biome.json'), JSON.stringify(own))
    for (const { path, text } of files) {
      mkdirSync(join(workplace, dirname(path)), { recursive: true })
      writeFileSync(join(workplace, path), text)
    }
    const { exitCode, stderr } = Bun.spawnSync([process.execPath, join(root, BIOME), 'check', '--write', '.'], {
      cwd: workplace,
      stdin: 'ignore',
    })
    if (exitCode !== 0)
      throw new Failure(EXIT.failed, `What is written can't be formatted: ${stderr.toString().trim().split('\n')[0]}`, {
        suggestion: 'bun install --frozen-lockfile',
      })
    return files.map(({ path }) => ({ path, text: readFileSync(join(workplace, path), 'utf8') }))
  } finally {
    rmSync(workplace, { recursive: true, force: true })
  }
}
