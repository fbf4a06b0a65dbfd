import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { BuildConfig } from 'bun'

/**
 * Builds the package in `dist/client` and `dist/guard`: each entry as one file of JavaScript, and the type declarations
 * that the entries import, directly or indirectly.
 */
const ROOT = join(import.meta.dir, '..')
const FOLDERS: { name: string; entries: string[]; options: Partial<BuildConfig> }[] = [
  // For pages too, also without a bundler of their own.
  { name: 'client', entries: ['index'], options: { target: 'browser', minify: true } },
  // For Bun and Node.
  { name: 'guard', entries: ['index', 'elysia'], options: { target: 'node', external: ['elysia'] } },
]

for (const { entries, name, options } of FOLDERS) {
  const outdir = join(ROOT, 'dist', name)
  rmSync(outdir, { recursive: true, force: true })
  const entrypoints = entries.map((entry) => join(ROOT, `${name}/${entry}.ts`))
  const result = await Bun.build({ ...options, entrypoints, outdir })
  if (!result.success) throw new AggregateError(result.logs)
}

const declarations = mkdtempSync(join(tmpdir(), 'ch202-declarations-'))
try {
  const compiler = Bun.spawn(
    [
      process.execPath,
      'node_modules/typescript/bin/tsc',
      '--project',
      '.ci/tsconfig.package.json',
      '--outDir',
      declarations,
    ],
    {
      cwd: ROOT,
      stdout: 'inherit',
      stderr: 'inherit',
    },
  )
  if ((await compiler.exited) !== 0) throw new Error('The declarations could not be built')
  for (const { entries, name } of FOLDERS) {
    const copied = new Set<string>()
    for (const entry of entries) copyDeclaration(`${name}/${entry}.d.ts`, join(ROOT, 'dist', name, 'types'), copied)
  }
} finally {
  rmSync(declarations, { recursive: true, force: true })
}

/** Copies a declaration and those that it imports. */
function copyDeclaration(file: string, out: string, copied: Set<string>): void {
  if (copied.has(file)) return
  copied.add(file)
  const text = readFileSync(join(declarations, file), 'utf8')
  const target = join(out, file)
  mkdirSync(dirname(target), { recursive: true })
  // A consumer's compiler finds a declaration by the name of its JavaScript file.
  writeFileSync(target, text.replace(/(['"])(\.{1,2}\/[^'"]+)\.ts\1/g, '$1$2.js$1'))
  for (const [, path = ''] of text.matchAll(/['"](\.{1,2}\/[^'"]+)\.ts['"]/g))
    copyDeclaration(join(dirname(file), `${path}.d.ts`), out, copied)
}
