import { closeSync, existsSync, openSync, readFileSync, readSync, writeFileSync } from 'node:fs'
import { databases } from '../../../services/databases.ts'

const STUB = 'Ch202 restore unfinished\n'

/** What stands in the place of each database while a restore changes them: no database, so no service opens it. */
export interface Unfinished {
  backup: string
  /** Where what was there before went, within the data directory; null: there was nothing. */
  aside: string | null
}

export function writeStub(path: string, unfinished: Unfinished): void {
  writeFileSync(path, `${STUB}${JSON.stringify(unfinished)}\n`, { mode: 0o600, flush: true })
}

/** Undefined: there is a database, or nothing. */
export function readStub(path: string): Unfinished | undefined {
  if (!existsSync(path)) return undefined
  const start = Buffer.alloc(STUB.length)
  const file = openSync(path, 'r')
  readSync(file, start, 0, STUB.length, 0)
  closeSync(file)
  if (start.toString() !== STUB) return undefined
  return JSON.parse(readFileSync(path, 'utf8').slice(STUB.length))
}

/** The restore into a data directory that was cut short, if there is one: no service starts until one is finished. */
export function unfinishedRestore(dataDir: string): { backup: string } | undefined {
  return databases(dataDir)
    .map(({ path }) => readStub(path))
    .find((stub) => stub !== undefined)
}
