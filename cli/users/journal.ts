import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { EXIT, Failure } from '../exit.ts'
import { writePrivateFile } from '../private-file.ts'
import type { Environment } from '../settings.ts'
import { type Counts, type CountsRead, countsFrom } from './counts.ts'
import type { RunId } from './derived-id.ts'
import type { ImportSettings } from './import-options.ts'
import type { FileIdentity } from './input.ts'

/** How far an import has come. Nothing in it is secret; all of it is written before the batch that it speaks of is sent. */
export interface Journal {
  version: 2
  run: RunId
  file: FileIdentity
  settings: ImportSettings
  /** Records that were answered, and are in the counts. */
  acknowledged: number
  /** Records that may have been sent; those beyond `acknowledged` may have been done. */
  sent: number
  /** By the clock of the service, in milliseconds: before the first of these was sent. */
  since: number
  counts: Counts
  /** How long the file of errors was then. */
  errorsBytes: number
  finished: boolean
}

type JournalRead = Omit<Journal, 'counts'> & { counts: CountsRead }

/** The journal of the imports of one file into one instance. */
export class JournalFile {
  private readonly path: string

  /** @param file absolute */
  constructor(env: Environment, file: string, address: string) {
    const home = env.XDG_STATE_HOME?.trim() || join(homedir(), '.local', 'state')
    const name = createHash('sha256').update(`${file}\n${address}`).digest('hex').slice(0, 32)
    this.path = join(home, 'ch202', 'imports', `${name}.json`)
  }

  /** Null: none, or one that another version wrote. */
  read(): Journal | null {
    try {
      const journal = JSON.parse(readFileSync(this.path, 'utf8')) as JournalRead
      return journal.version === 2 ? { ...journal, counts: countsFrom(journal.counts) } : null
    } catch {
      return null
    }
  }

  /** Whole or not at all, and on the disk when this returns. @throws Failure where it can't be written */
  write(journal: Journal): void {
    try {
      writePrivateFile(this.path, JSON.stringify(journal))
    } catch (error) {
      const reason = error instanceof Error && 'code' in error ? String(error.code) : 'an error'
      throw new Failure(EXIT.failed, `The journal of the import can't be written (${reason}): ${this.path}`, {
        code: 'journal_unwritable',
      })
    }
  }
}

export function sameFile(one: FileIdentity, other: FileIdentity): boolean {
  return one.size === other.size && one.mtime === other.mtime && one.digest === other.digest
}
