import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inCheckout } from '../../executable.ts'
import { type Names, renamed } from './names.ts'

export interface NewFile {
  /** From the root of the checkout. */
  path: string
  text: string
}

const SUFFIX = '.tmpl'

/** The templates: the files of a service `products`, at their paths. */
export function templates(): NewFile[] {
  const root = inCheckout('cli/commands/new/service')
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith(SUFFIX))
    .sort()
    .map((path) => ({ path: path.slice(0, -SUFFIX.length), text: readFileSync(join(root, path), 'utf8') }))
}

/** The directories that belong to a service alone. */
export function directoriesOf(many: string): string[] {
  return ['services', 'db', 'db/sqlite/migrations', 'db/postgres/migrations'].map((parent) => `${parent}/${many}`)
}

/** The code of the templates, without strings, comments and the names to replace. New names must not occur in it. */
export function codeOf(files: readonly NewFile[]): string[] {
  return files
    .filter(({ path }) => path.endsWith('.ts'))
    .map(({ text }) => text.replace(/'[^'\n]*'|\/\*[\s\S]*?\*\/|\/\/.*|PRODUCTS|products?|Products?/g, '-'))
}

/** The files of a new service, before formatting. */
export function filesFor(names: Names): NewFile[] {
  return templates().map(({ path, text }) => ({ path: renamed(path, names), text: renamed(text, names) }))
}
