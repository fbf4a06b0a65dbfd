import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { descriptorOf, SERVICE_NAMES } from '../../../services/registry.ts'
import { EXIT, Failure, usage } from '../../exit.ts'
import { type Change, contentOf } from './changes.ts'
import { type Entry, entriesFor, REGISTRY, withEntry, withoutEntry } from './entries.ts'
import { formatted } from './formatted.ts'
import type { Names } from './names.ts'
import { directoriesOf, filesFor } from './templates.ts'

/** The services that Ch202 consists of. */
const BUILT_IN = ['auth', 'users', 'modules', 'web']

/** All changes that add a service. @throws Failure when a file has no place for its entry */
export function additions(root: string, names: Names): Change[] {
  const number = Math.max(...SERVICE_NAMES.map((name) => descriptorOf(name).number)) + 1
  const entries = edit(root, entriesFor(names, number), withEntry, noPlace)
  const texts = formatted(root, [...filesFor(names), ...registryIn(entries)])
  const files = texts.filter(({ path }) => path !== REGISTRY)
  const registry = texts.find(({ path }) => path === REGISTRY)
  return [
    ...files.map(({ path, text }) => ({ path, before: null, after: text })),
    ...entries.map((change) => (change.path === REGISTRY && registry ? { ...change, after: registry.text } : change)),
  ]
}

/**
 * All changes that remove a service again.
 * @throws Failure when there is no such service, or a part of it differs from what was written
 */
export function removals(root: string, names: Names): Change[] {
  const { many } = names
  const service = SERVICE_NAMES.find((name) => name === many)
  if (service === undefined)
    throw new Failure(EXIT.notFound, `There is no service ${many}`, { code: 'service_not_found' })
  if (BUILT_IN.includes(service)) throw usage(`${many} is a service of Ch202 itself`)
  const files = filesFor(names)
  const { number } = descriptorOf(service)
  const entries = edit(root, formattedEntries(root, names, number), withoutEntry, wasChanged)
  const texts = formatted(root, files)
  for (const { path, text } of texts) if (contentOf(join(root, path)) !== text) throw wasChanged(path)
  const written = new Set(texts.map(({ path }) => path))
  for (const directory of directoriesOf(many))
    for (const path of filesUnder(root, directory)) if (!written.has(path)) throw wasChanged(path)
  return [...entries, ...texts.map(({ path, text }) => ({ path, before: text, after: null }))]
}

/** Reads the name of one of the things that a service stores from its routes. Undefined: it has no such routes. */
export function itemOf(root: string, many: string): string | undefined {
  return /:(\w+)_id'/.exec(contentOf(join(root, `services/${many}/routes/${many}.ts`)) ?? '')?.[1]
}

function registryIn(changes: readonly Change[]) {
  return changes.flatMap(({ after, path }) => (path === REGISTRY && after !== null ? [{ path, text: after }] : []))
}

/** The entries as they were written: where the formatter breaks their lines depends on the names. */
function formattedEntries(root: string, names: Names, number: number): Entry[] {
  const entries = entriesFor(names, number)
  const texts = entries.map(({ lines }, at) => ({ path: `${at}.ts`, text: wrapped(lines) }))
  const files = formatted(
    root,
    texts.filter(({ text }) => text !== ''),
  )
  return entries.map((entry, at) => {
    const file = files.find(({ path }) => path === `${at}.ts`)
    return file ? { ...entry, lines: unwrapped(file.text) } : entry
  })
}

/**
 * Wraps the entry of the registry in an object, so that it can be formatted by itself. Gives an empty text for an entry of
 * one line, which the formatter does not break.
 */
function wrapped(lines: readonly string[]): string {
  return lines.length > 1 ? ['export const entry = {', ...lines, '}', ''].join('\n') : ''
}

function unwrapped(text: string): string[] {
  return text.split('\n').slice(1, -2)
}

function filesUnder(root: string, directory: string): string[] {
  if (!existsSync(join(root, directory))) return []
  return readdirSync(join(root, directory), { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map(({ name, parentPath }) => join(parentPath, name).slice(root.length + 1))
}

/** Applies the entries to their files. A file with several entries is one change. */
function edit(
  root: string,
  entries: readonly Entry[],
  editText: (text: string, entry: Entry) => string | undefined,
  refusal: (path: string) => Failure,
): Change[] {
  const changes = new Map<string, Change>()
  for (const entry of entries) {
    const before = changes.get(entry.path)?.before ?? contentOf(join(root, entry.path))
    const after = editText(changes.get(entry.path)?.after ?? before ?? '', entry)
    if (before === null || after === undefined) throw refusal(entry.path)
    changes.set(entry.path, { path: entry.path, before, after })
  }
  return [...changes.values()]
}

function noPlace(path: string): Failure {
  return new Failure(EXIT.conflict, `${path} has no place for a service: the tool does not recognize its form`, {
    code: 'unknown_form',
  })
}

function wasChanged(path: string): Failure {
  return new Failure(EXIT.conflict, `${path} was changed since it was written: its content is kept`, {
    code: 'changed_since',
    suggestion: `git diff ${path}`,
  })
}
