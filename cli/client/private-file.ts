import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { flush } from '../../db/sqlite/durable.ts'

/** Creates the directory of a file, accessible only to its owner. */
export function makeDirectoryOf(file: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  chmodSync(dirname(file), 0o700)
}

/**
 * Replaces a file atomically with one that only its owner can read, and flushes it to disk. Readers see the old or the
 * new content, and two simultaneous writers cannot mix theirs.
 * @throws the file system's error
 */
export function writePrivateFile(file: string, text: string): void {
  makeDirectoryOf(file)
  placePrivateFile(file, text)
}

/** As `writePrivateFile`, in an existing directory whose mode stays as it is. @throws the file system's error */
export function placePrivateFile(file: string, text: string): void {
  const temporary = `${file}.${process.pid}`
  // An earlier process with the same id may have left a file, or another user a link to somewhere else.
  rmSync(temporary, { force: true })
  writeFileSync(temporary, text, { mode: 0o600, flag: 'wx', flush: true })
  renameSync(temporary, file)
  flush(dirname(file))
}
