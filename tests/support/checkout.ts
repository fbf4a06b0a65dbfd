import { cpSync, mkdirSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Ended, launch, ROOT } from './tool.ts'

/** A copy of this checkout, for tests that write into one. */
export interface Checkout {
  path: string
  git(...words: string[]): string
  /** The hash of all files, as git computes it. */
  tree(): string
  /** Runs Bun in the copy to its end. */
  run(words: string[], env?: Record<string, string>): Promise<Ended>
}

/** Copies all files that git tracks or would track into a new repository, with the packages linked. */
export function copyCheckout(path: string): Checkout {
  const listed = Bun.spawnSync(['git', 'ls-files', '--cached', '--others', '--exclude-standard'], { cwd: ROOT })
  for (const file of listed.stdout.toString().trim().split('\n')) {
    mkdirSync(dirname(join(path, file)), { recursive: true })
    cpSync(join(ROOT, file), join(path, file), { force: true })
  }
  symlinkSync(join(ROOT, 'node_modules'), join(path, 'node_modules'))
  const git = (...words: string[]) => {
    const { stdout, stderr, success } = Bun.spawnSync(['git', ...words], { cwd: path })
    if (!success) throw new Error(stderr.toString())
    return stdout.toString().trim()
  }
  git('init', '--quiet')
  return {
    path,
    git,
    tree() {
      git('add', '--all')
      return git('write-tree')
    },
    run: (words, env = {}) => launch([process.execPath, ...words], { cwd: path, env }).ended,
  }
}
