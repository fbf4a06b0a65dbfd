import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { EXIT, Failure, usage } from '../../exit.ts'
import { type Change, contentOf } from './changes.ts'
import { type Entry, entriesFor, withEntry, withoutEntry } from './entries.ts'
import { formatted } from './formatted.ts'
import type { Names } from './names.ts'
import { filesFor } from './templates.ts'

const LIST = 'services/registry.ts'
const OWN = ['auth', 'users', 'modules']

/** Everything that is written for a new service. @throws Failure where there is no place for a part of it */
export function additions(root: string, names: Names): Change[] {
  const numbers = [...(contentOf(join(root, LIST)) ?? '').matchAll(/\bnumber: (\d+)/g)].map(([, one]) => Number(one))
  const files = formatted(root, filesFor(names)).map(({ path, text }) => ({ path, before: null, after: text }))
  const entries = entriesFor(names, Math.max(...numbers) + 1)
  return [...files, ...inFiles(root, entries, withEntry, ({ path }) => unknownForm(path))]
}

/**
 * Everything that was written for a service, taken out again.
 * @throws Failure where there is none, it is not one that was written so, or a part of it is not as it was written
 */
export function removals(root: string, names: Names): Change[] {
  const number = new RegExp(`^  ${names.many}: \\{ number: (\\d+)`, 'm').exec(contentOf(join(root, LIST)) ?? '')?.[1]
  if (number === undefined)
    throw new Failure(EXIT.notFound, `There is no service ${names.many}`, { code: 'service_not_found' })
  if (OWN.includes(names.many)) throw usage(`${names.many} is a service of Ch202 itself`)
  const files = formatted(root, filesFor(names))
  for (const { path, text } of files) if (contentOf(join(root, path)) !== text) throw changed(path)
  const written = new Set(files.map(({ path }) => path))
  for (const place of ['services', 'db'].map((room) => `${room}/${names.many}`))
    for (const path of filesUnder(root, place)) if (!written.has(path)) throw changed(path)
  const changes = inFiles(root, entriesFor(names, Number(number)), withoutEntry, ({ path }) => changed(path))
  return [...changes, ...files.map(({ path, text }) => ({ path, before: text, after: null }))]
}

/** One of what a service keeps, by the code that was written for it. */
export function itemOf(root: string, many: string): string | undefined {
  return /:(\w+)_id'/.exec(contentOf(join(root, 'services', many, 'index.ts')) ?? '')?.[1]
}

function filesUnder(root: string, place: string): string[] {
  if (!existsSync(join(root, place))) return []
  return readdirSync(join(root, place), { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map(({ name, parentPath }) => join(parentPath, name).slice(root.length + 1))
}

function inFiles(
  root: string,
  entries: readonly Entry[],
  edit: (text: string, entry: Entry) => string | undefined,
  fault: (entry: Entry) => Failure,
): Change[] {
  const changes = new Map<string, Change>()
  for (const entry of entries) {
    const before = changes.get(entry.path)?.before ?? contentOf(join(root, entry.path))
    const after = edit(changes.get(entry.path)?.after ?? before ?? '', entry)
    if (before === null || after === undefined) throw fault(entry)
    changes.set(entry.path, { path: entry.path, before, after })
  }
  return [...changes.values()]
}

function unknownForm(path: string): Failure {
  return new Failure(EXIT.conflict, `${path} has another form than the tool knows: there is no place for a service`, {
    code: 'unknown_form',
  })
}

function changed(path: string): Failure {
  return new Failure(EXIT.conflict, `${path} is not as it was written: what stands in it now is not taken away`, {
    code: 'changed_since',
    suggestion: `git diff ${path}`,
  })
}
