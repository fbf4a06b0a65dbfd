import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/**
 * Builds the package in `dist/guard`: each entry as one file of JavaScript for Bun and Node, and the type declarations
 * that the entries import, directly or indirectly.
 */
const ROOT = join(import.meta.dir, '..')
const OUT = join(ROOT, 'dist/guard')
const ENTRIES = ['index', 'elysia']

rmSync(OUT, { recursive: true, force: true })
const result = await Bun.build({
  entrypoints: ENTRIES.map((entry) => join(ROOT, `guard/${entry}.ts`)),
  outdir: OUT,
  target: 'node',
  external: ['elysia'],
})
if (!result.success) throw new AggregateError(result.logs)

const declarations = mkdtempSync(join(tmpdir(), 'ch202-declarations-'))
try {
  const compiler = Bun.spawn(
    [process.execPath, 'node_modules/typescript/bin/tsc', '--project', 'guard/tsconfig.json', '--outDir', declarations],
    {
      cwd: ROOT,
      stdout: 'inherit',
      stderr: 'inherit',
    },
  )
  if ((await compiler.exited) !== 0) throw new Error('The declarations could not be built')
  const copied = new Set<string>()
  for (const entry of ENTRIES) copyDeclaration(`guard/${entry}.d.ts`, copied)
} finally {
  rmSync(declarations, { recursive: true, force: true })
}

/** Copies a declaration and those that it imports. */
function copyDeclaration(file: string, copied: Set<string>): void {
  if (copied.has(file)) return
  copied.add(file)
  const text = readFileSync(join(declarations, file), 'utf8')
  const target = join(OUT, 'types', file)
  mkdirSync(dirname(target), { recursive: true })
  // A consumer's compiler finds a declaration by the name of its JavaScript file.
  writeFileSync(target, text.replace(/(['"])(\.{1,2}\/[^'"]+)\.ts\1/g, '$1$2.js$1'))
  for (const [, path = ''] of text.matchAll(/['"](\.{1,2}\/[^'"]+)\.ts['"]/g))
    copyDeclaration(join(dirname(file), `${path}.d.ts`), copied)
}
