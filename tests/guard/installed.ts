import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Ended, launch, ROOT } from '../support/tool.ts'

/** Files that the package is built from or contains unchanged. */
const PARTS = [
  'package.json',
  'bunfig.toml',
  'tsconfig.json',
  '.ci',
  'client',
  'guard',
  'services/kit',
  'docs/browser.md',
  'docs/integrate/guard.md',
  'README.md',
  'LICENSE',
]

export interface Installed {
  /** The directory of the foreign service. */
  path: string
  /** Files of the package, relative to its directory. */
  files: string[]
  /** Writes a file of the service. */
  write(name: string, text: string): void
  /** Errors of the compiler in files of the service or of the package. */
  faults(compiler: Compiler, files: string[], options?: object): Promise<string[]>
}

export type Compiler = 'typescript' | 'typescript-5'

/**
 * Packs the package and returns the path of the tarball. It is built in a copy of its sources, so that the
 * repository stays clean.
 */
export async function pack(directory: string): Promise<string> {
  const copy = join(directory, 'copy')
  for (const part of PARTS) cpSync(join(ROOT, part), join(copy, part), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
  await succeeded([process.execPath, 'run', 'pack', '--quiet', '--destination', directory], copy)
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
  return join(directory, `ch202-${version}.tgz`)
}

/**
 * Installs the tarball for a service in a directory of its own, without the network: it is unpacked where an installer
 * would unpack it, and only the named packages of others are beside it.
 */
export async function install(tarball: string, path: string, beside: string[]): Promise<Installed> {
  const unpacked = join(path, 'node_modules/ch202')
  mkdirSync(unpacked, { recursive: true })
  await succeeded(['tar', 'xzf', tarball, '-C', unpacked, '--strip-components=1'], path)
  for (const name of beside) symlinkSync(join(ROOT, 'node_modules', name), join(path, 'node_modules', name))
  writeFileSync(join(path, 'package.json'), '{ "type": "module", "private": true }')

  const write = (name: string, text: string) => writeFileSync(join(path, name), text)
  return {
    path,
    files: [...new Bun.Glob('**/*').scanSync(unpacked)].sort(),
    write,
    async faults(compiler, files, options = {}) {
      const compilerOptions = { ...STRICT, ...options }
      write('tsconfig.json', JSON.stringify({ compilerOptions, files }))
      const tsc = join(ROOT, 'node_modules', compiler, 'bin/tsc')
      const { stderr, stdout } = await launch([process.execPath, tsc, '--pretty', 'false'], { cwd: path }).ended
      return [...stdout.split('\n'), ...stderr.split('\n')].filter((line) => /\berror TS/.test(line))
    },
  }
}

/** The strictest settings that a consumer's compiler may have, applied to the declarations of others too. */
const STRICT = {
  target: 'ESNext',
  module: 'nodenext',
  lib: ['ESNext'],
  types: ['bun-types'],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  verbatimModuleSyntax: true,
  isolatedModules: true,
  skipLibCheck: false,
  noEmit: true,
}

async function succeeded(command: string[], cwd: string): Promise<Ended> {
  const ended = await launch(command, { cwd }).ended
  if (ended.status !== 0) throw new Error(`${command.join(' ')}:\n${ended.stdout}\n${ended.stderr}`)
  return ended
}

/** The programs of the guard's page, by the name in their first line. */
export function programsOfThePage(): Record<string, string> {
  const page = readFileSync(join(ROOT, 'docs/integrate/guard.md'), 'utf8')
  const blocks = [...page.matchAll(/^```ts\n\/\/ (\S+\.ts)\n([\s\S]*?)^```$/gm)]
  return Object.fromEntries(blocks.map(([, name = '', code = '']) => [name, code]))
}
