import { mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isAlive } from '../../client/instance/process.ts'

/** What becomes of a file; null: there is none. */
export interface Change {
  /** From the root. */
  path: string
  before: string | null
  after: string | null
}

/** What is under way, so that whoever comes after a kill can take it back. */
const JOURNAL = '.ch202-new.json'

/**
 * Makes all of the changes, or none: the new contents stand beside their places before the first is put there, and a
 * failure takes back what was done. A signal waits until the end; after a kill `takeBack` does the rest.
 * @throws the file system's error; Error for a file that is not as it was
 */
export function apply(root: string, changes: readonly Change[]): void {
  const wait = () => undefined
  process.on('SIGINT', wait).on('SIGTERM', wait)
  try {
    writeFileSync(join(root, JOURNAL), JSON.stringify({ pid: process.pid, changes }), { flag: 'wx' })
    for (const { after, path } of changes) if (after !== null) writeBeside(join(root, path), after)
    for (const change of changes) put(root, change)
    for (const { after, path } of changes) if (after === null) removeEmpty(join(root, dirname(path)))
    rmSync(join(root, JOURNAL))
  } catch (error) {
    undo(root, changes)
    rmSync(join(root, JOURNAL), { force: true })
    throw error
  } finally {
    process.off('SIGINT', wait).off('SIGTERM', wait)
  }
}

/**
 * Undoes what a run that was killed has left half done.
 * @returns whether there was such a run
 * @throws Error while it still runs
 */
export function takeBack(root: string): boolean {
  const text = contentOf(join(root, JOURNAL))
  if (text === null) return false
  const { changes, pid } = parsed(text)
  if (pid !== undefined && isAlive(pid)) throw new Error(`Process ${pid} is writing a service here`)
  undo(root, changes)
  rmSync(join(root, JOURNAL))
  return true
}

/** The text of a file; null where there is none. */
export function contentOf(file: string): string | null {
  return statSync(file, { throwIfNoEntry: false })?.isFile() ? readFileSync(file, 'utf8') : null
}

/** Cut short itself: then nothing else was begun. */
function parsed(text: string): { pid?: number; changes: Change[] } {
  try {
    return JSON.parse(text)
  } catch {
    return { changes: [] }
  }
}

function besideOf(file: string): string {
  return `${file}.ch202-new`
}

function writeBeside(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(besideOf(file), text, { flag: 'wx', mode: statSync(file, { throwIfNoEntry: false })?.mode ?? 0o666 })
}

function put(root: string, { after, before, path }: Change): void {
  const file = join(root, path)
  if (contentOf(file) !== before) throw new Error(`${path} was changed meanwhile`)
  if (after === null) rmSync(file)
  else renameSync(besideOf(file), file)
}

/** Touches only what this has written: what someone else has put there since stays. */
function undo(root: string, changes: readonly Change[]): void {
  for (const { after, before, path } of changes) {
    const file = join(root, path)
    const beside = contentOf(besideOf(file))
    if (beside !== null && after?.startsWith(beside)) rmSync(besideOf(file))
    if (contentOf(file) === after) {
      if (before === null) rmSync(file, { force: true })
      else {
        mkdirSync(dirname(file), { recursive: true })
        writeFileSync(file, before)
      }
    }
    if (before === null) removeEmpty(dirname(file))
  }
}

/** And those above it that it leaves empty. */
function removeEmpty(path: string): void {
  const there = statSync(path, { throwIfNoEntry: false })
  if (there && (!there.isDirectory() || readdirSync(path).length > 0)) return
  if (there) rmdirSync(path)
  removeEmpty(dirname(path))
}
