import { chmodSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { flush } from '../db/durable.ts'

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
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, text, { mode: 0o600, flush: true })
  // It may have been left there by a process of the same id.
  chmodSync(draft, 0o600)
  renameSync(draft, file)
  flush(dirname(file))
}
