import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { flush } from '../../db/sqlite/durable.ts'

/** Makes the directory of a file, for its owner alone. */
export function makeDirectoryOf(file: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  chmodSync(dirname(file), 0o700)
}

/**
 * Puts a file that is its owner's alone in the place of another, and it is on the disk when this returns: whoever reads
 * it has the one or the other whole, and two that write at once can't mix theirs.
 * @throws the file system's error
 */
export function writePrivateFile(file: string, text: string): void {
  makeDirectoryOf(file)
  placePrivateFile(file, text)
}

/** As `writePrivateFile`, in a directory that is there and stays as it is. @throws the file system's error */
export function placePrivateFile(file: string, text: string): void {
  const draft = `${file}.${process.pid}`
  // A process of the same id may have left one there; where others may write, a link to somewhere else.
  rmSync(draft, { force: true })
  writeFileSync(draft, text, { mode: 0o600, flag: 'wx', flush: true })
  renameSync(draft, file)
  flush(dirname(file))
}
