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

/** The files of a new service, as the templates have them: at the place where each goes, by the name `products`. */
export function templates(): NewFile[] {
  const root = inCheckout('cli', 'new', 'service')
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith(SUFFIX))
    .sort()
    .map((path) => ({ path: path.slice(0, -SUFFIX.length), text: readFileSync(join(root, path), 'utf8') }))
}

/** What a name of the templates may not be: the code, without its texts, its comments, and the names that go. */
export function codeOf(files: readonly NewFile[]): string[] {
  return files
    .filter(({ path }) => path.endsWith('.ts'))
    .map(({ text }) => text.replace(/'[^'\n]*'|\/\*[\s\S]*?\*\/|\/\/.*|PRODUCTS|products?|Products?/g, '-'))
}

export function filesFor(names: Names): NewFile[] {
  return templates().map(({ path, text }) => ({ path: renamed(path, names), text: renamed(text, names) }))
}
