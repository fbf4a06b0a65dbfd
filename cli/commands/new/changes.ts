import { mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isAlive } from '../../client/instance/process.ts'

/** The change of a file: its content before and after. Null: the file does not exist. */
export interface Change {
  /** From the root of the checkout. */
  path: string
  before: string | null
  after: string | null
}

/** The file that lists the changes while they are made, so that the next run can undo them if this one is killed. */
const JOURNAL = '.ch202-new.json'

/**
 * Makes all changes, or none. First writes every new content to a temporary file beside its place, then moves them;
 * undoes everything on a failure. SIGINT and SIGTERM wait until the end. After a kill, `undoKilledRun` cleans up.
 * @throws the file system's error; Error when a file differs from `before`
 */
export function apply(root: string, changes: readonly Change[]): void {
  const ignore = () => undefined
  process.on('SIGINT', ignore).on('SIGTERM', ignore)
  try {
    writeFileSync(join(root, JOURNAL), JSON.stringify({ pid: process.pid, changes }), { flag: 'wx' })
    for (const { after, path } of changes) if (after !== null) writeTemporary(join(root, path), after)
    for (const change of changes) move(root, change)
    for (const { after, path } of changes) if (after === null) removeEmptyDirectories(join(root, dirname(path)))
    rmSync(join(root, JOURNAL))
  } catch (error) {
    undo(root, changes)
    rmSync(join(root, JOURNAL), { force: true })
    throw error
  } finally {
    process.off('SIGINT', ignore).off('SIGTERM', ignore)
  }
}

/**
 * Undoes the changes of a run that was killed.
 * @returns whether there was such a run
 * @throws Error while that run is still alive
 */
export function undoKilledRun(root: string): boolean {
  const text = contentOf(join(root, JOURNAL))
  if (text === null) return false
  const { changes, pid } = parseJournal(text)
  if (pid !== undefined && isAlive(pid)) throw new Error(`Process ${pid} is writing a service here`)
  undo(root, changes)
  rmSync(join(root, JOURNAL))
  return true
}

/** The content of a file; null when it does not exist. */
export function contentOf(file: string): string | null {
  return statSync(file, { throwIfNoEntry: false })?.isFile() ? readFileSync(file, 'utf8') : null
}

/** A journal that was cut short lists nothing: the kill came before the first change. */
function parseJournal(text: string): { pid?: number; changes: Change[] } {
  try {
    return JSON.parse(text)
  } catch {
    return { changes: [] }
  }
}

function temporaryOf(file: string): string {
  return `${file}.ch202-new`
}

function writeTemporary(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true })
  const mode = statSync(file, { throwIfNoEntry: false })?.mode ?? 0o666
  writeFileSync(temporaryOf(file), text, { flag: 'wx', mode })
}

function move(root: string, { after, before, path }: Change): void {
  const file = join(root, path)
  if (contentOf(file) !== before) throw new Error(`${path} was changed meanwhile`)
  if (after === null) rmSync(file)
  else renameSync(temporaryOf(file), file)
}

/** Restores the files that still have the content that `apply` wrote, and no others. */
function undo(root: string, changes: readonly Change[]): void {
  for (const { after, before, path } of changes) {
    const file = join(root, path)
    const temporary = contentOf(temporaryOf(file))
    if (temporary !== null && after?.startsWith(temporary)) rmSync(temporaryOf(file))
    if (contentOf(file) === after) {
      if (before === null) rmSync(file, { force: true })
      else {
        mkdirSync(dirname(file), { recursive: true })
        writeFileSync(file, before)
      }
    }
    if (before === null) removeEmptyDirectories(dirname(file))
  }
}

/** Removes a directory if it is empty, and then its parents. */
function removeEmptyDirectories(path: string): void {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats && (!stats.isDirectory() || readdirSync(path).length > 0)) return
  if (stats) rmdirSync(path)
  removeEmptyDirectories(dirname(path))
}
