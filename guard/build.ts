import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/**
 * Makes what the package gives to others, in `dist/guard`: each entry as one file of JavaScript for Bun and Node, and
 * the declarations that the entries reach, which name no file that is not beside them.
 */
const ROOT = join(import.meta.dir, '..')
const OUT = join(ROOT, 'dist/guard')
const ENTRIES = ['index', 'elysia']

rmSync(OUT, { recursive: true, force: true })
const built = await Bun.build({
  entrypoints: ENTRIES.map((entry) => join(ROOT, `guard/${entry}.ts`)),
  outdir: OUT,
  target: 'node',
  external: ['elysia'],
})
if (!built.success) throw new AggregateError(built.logs)

const emitted = mkdtempSync(join(tmpdir(), 'ch202-declarations-'))
try {
  const compiler = Bun.spawn(
    [process.execPath, 'node_modules/typescript/bin/tsc', '--project', 'guard/tsconfig.json', '--outDir', emitted],
    {
      cwd: ROOT,
      stdout: 'inherit',
      stderr: 'inherit',
    },
  )
  if ((await compiler.exited) !== 0) throw new Error('The declarations could not be made')
  const reached = new Set<string>()
  for (const entry of ENTRIES) declare(`guard/${entry}.d.ts`, reached)
} finally {
  rmSync(emitted, { recursive: true, force: true })
}

/** Copies a declaration and those it names. */
function declare(file: string, reached: Set<string>): void {
  if (reached.has(file)) return
  reached.add(file)
  const text = readFileSync(join(emitted, file), 'utf8')
  const target = join(OUT, 'types', file)
  mkdirSync(dirname(target), { recursive: true })
  // A consumer's compiler knows a declaration by the name of the JavaScript that it is of.
  writeFileSync(target, text.replace(/(['"])(\.{1,2}\/[^'"]+)\.ts\1/g, '$1$2.js$1'))
  for (const [, path = ''] of text.matchAll(/['"](\.{1,2}\/[^'"]+)\.ts['"]/g))
    declare(join(dirname(file), `${path}.d.ts`), reached)
}
