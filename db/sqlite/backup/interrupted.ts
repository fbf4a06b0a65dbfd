import { closeSync, existsSync, openSync, readFileSync, readSync, writeFileSync } from 'node:fs'
import { databases } from '../../../services/databases.ts'

const STUB = 'Ch202 restore unfinished\n'

/** The contents of the stub that replaces each database while a restore changes them: no service can open a stub. */
export interface RestoreStub {
  backup: string
  /** The directory of the earlier databases, within the data directory; null: it had no databases. */
  aside: string | null
}

export function writeStub(path: string, stub: RestoreStub): void {
  writeFileSync(path, `${STUB}${JSON.stringify(stub)}\n`, { mode: 0o600, flush: true })
}

/** @returns undefined when the file is a database, or missing */
export function readStub(path: string): RestoreStub | undefined {
  if (!existsSync(path)) return undefined
  const start = Buffer.alloc(STUB.length)
  const file = openSync(path, 'r')
  readSync(file, start, 0, STUB.length, 0)
  closeSync(file)
  if (start.toString() !== STUB) return undefined
  return JSON.parse(readFileSync(path, 'utf8').slice(STUB.length))
}

/** Finds a restore into a data directory that was interrupted. No service starts until a restore is finished. */
export function interruptedRestore(dataDir: string): { backup: string } | undefined {
  return databases(dataDir)
    .map(({ path }) => readStub(path))
    .find((stub) => stub !== undefined)
}
