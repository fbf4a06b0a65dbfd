import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { placePrivateFile, writePrivateFile } from '../../../client/private-file.ts'
import type { Environment } from '../../../client/settings.ts'
import { isForeign } from '../../../client/trust.ts'
import { EXIT, Failure } from '../../../exit.ts'
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

/** Where a journal may be, and how it is written there. */
interface Place {
  path: string
  write(path: string, text: string): void
}

/**
 * The journal of the imports of one file into one instance: in the directory for the state of programs, or, where that
 * can't be written, beside the file.
 */
export class JournalFile {
  private readonly places: readonly Place[]
  /** Where it was written; null: nowhere can it be. */
  private place: Place | null | undefined

  /**
   * @param file absolute
   * @param says told in a sentence where the journal is not at its usual place
   */
  constructor(
    env: Environment,
    file: string,
    address: string,
    private readonly says: (text: string) => void,
  ) {
    const home = env.XDG_STATE_HOME?.trim() || join(homedir(), '.local', 'state')
    const name = createHash('sha256').update(`${file}\n${address}`).digest('hex').slice(0, 32)
    this.places = [
      { path: join(home, 'ch202', 'imports', `${name}.json`), write: writePrivateFile },
      { path: `${file}.${name.slice(0, 8)}.ch202-journal`, write: placePrivateFile },
    ]
  }

  /** Whether another run finds it. */
  get isWritten(): boolean {
    return Boolean(this.place)
  }

  /** The latest. Null: none, or one that another version wrote. */
  read(): Journal | null {
    const journals = this.places.flatMap(({ path }) => journalAt(path) ?? [])
    return journals.sort((one, other) => other.writtenAt - one.writtenAt)[0]?.journal ?? null
  }

  /**
   * Whole or not at all, and on the disk when this returns. Where nothing can be written at the first call, the import
   * goes on without a journal.
   * @throws Failure where it can't be written any more
   */
  write(journal: Journal): void {
    const text = JSON.stringify(journal)
    if (this.place === undefined) this.place = this.firstWritable(text)
    else if (this.place !== null) put(this.place, text)
  }

  private firstWritable(text: string): Place | null {
    const failures: unknown[] = []
    for (const place of this.places)
      try {
        put(place, text)
        if (failures.length > 0) this.says(`The journal of the import is ${place.path}`)
        return place
      } catch (error) {
        failures.push(error)
      }
    const [first] = failures as Failure[]
    this.says(`${first?.message}. If the import is stopped, it can't be resumed`)
    return null
  }
}

/** @throws Failure */
function put({ path, write }: Place, text: string): void {
  try {
    write(path, text)
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : 'an error'
    throw new Failure(EXIT.failed, `The journal of the import can't be written (${reason}): ${path}`, {
      code: 'journal_unwritable',
    })
  }
}

/** One that someone else may have written is none: it says how to import, `--keep-admins` too. */
function journalAt(path: string): { journal: Journal; writtenAt: number } | undefined {
  try {
    if (isForeign(path)) return undefined
    const journal = JSON.parse(readFileSync(path, 'utf8')) as JournalRead
    if (journal.version !== 2) return undefined
    return { journal: { ...journal, counts: countsFrom(journal.counts) }, writtenAt: statSync(path).mtimeMs }
  } catch {
    return undefined
  }
}

export function sameFile(one: FileIdentity, other: FileIdentity): boolean {
  return one.size === other.size && one.mtime === other.mtime && one.digest === other.digest
}
