import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { placePrivateFile, writePrivateFile } from '../../../client/private-file.ts'
import type { Environment } from '../../../client/settings.ts'
import { isForeign } from '../../../client/trust.ts'
import { EXIT, Failure } from '../../../exit.ts'
import type { RunId } from './derived-id.ts'
import type { FileIdentity } from './input.ts'
import type { ImportSettings } from './options.ts'
import { type Counts, countsFrom, type StoredCounts } from './report.ts'

/** Progress of an import. Contains no secrets; written to disk before each batch is sent. */
export interface Journal {
  version: 2
  run: RunId
  file: FileIdentity
  settings: ImportSettings
  /** Records with an outcome, included in the counts. */
  acknowledged: number
  /** Records that may have been sent; those beyond `acknowledged` may have been imported. */
  sent: number
  /** The service's time in milliseconds, before the records beyond `acknowledged` were first sent. */
  since: number
  counts: Counts
  /** Length of the errors file in bytes. */
  errorsBytes: number
  finished: boolean
}

type StoredJournal = Omit<Journal, 'counts'> & { counts: StoredCounts }

/** A path for the journal, and the function that writes there. */
interface Location {
  path: string
  write(path: string, text: string): void
}

/**
 * The journal for importing one file into one instance: in the user's state directory, or beside the file if that
 * directory cannot be written.
 */
export class JournalFile {
  private readonly locations: readonly Location[]
  /** The location in use; null if none can be written. */
  private location: Location | null | undefined

  /**
   * @param file absolute path of the imported file
   * @param warn called with a sentence if the journal is not in its usual place
   */
  constructor(
    env: Environment,
    file: string,
    address: string,
    private readonly warn: (text: string) => void,
  ) {
    const home = env.XDG_STATE_HOME?.trim() || join(homedir(), '.local', 'state')
    const name = createHash('sha256').update(`${file}\n${address}`).digest('hex').slice(0, 32)
    this.locations = [
      { path: join(home, 'ch202', 'imports', `${name}.json`), write: writePrivateFile },
      { path: `${file}.${name.slice(0, 8)}.ch202-journal`, write: placePrivateFile },
    ]
  }

  /** Whether a later run can find the journal. */
  get isWritten(): boolean {
    return Boolean(this.location)
  }

  /** Reads the latest journal; null if no journal has this version. */
  read(): Journal | null {
    const journals = this.locations.flatMap(({ path }) => journalAt(path) ?? [])
    return journals.sort((one, other) => other.writtenAt - one.writtenAt)[0]?.journal ?? null
  }

  /**
   * Writes the journal atomically and durably. If it cannot be written at the first call, the import continues without
   * a journal.
   * @throws Failure if a journal that was written before can no longer be written
   */
  write(journal: Journal): void {
    const text = JSON.stringify(journal)
    if (this.location === undefined) this.location = this.firstWritable(text)
    else if (this.location !== null) writeTo(this.location, text)
  }

  private firstWritable(text: string): Location | null {
    const failures: unknown[] = []
    for (const location of this.locations)
      try {
        writeTo(location, text)
        if (failures.length > 0) this.warn(`The import journal is ${location.path}`)
        return location
      } catch (error) {
        failures.push(error)
      }
    const [first] = failures as Failure[]
    this.warn(`${first?.message}. The import cannot be resumed if it stops`)
    return null
  }
}

/** @throws Failure */
function writeTo({ path, write }: Location, text: string): void {
  try {
    write(path, text)
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : 'an error'
    throw new Failure(EXIT.failed, `The import journal cannot be written (${reason}): ${path}`, {
      code: 'journal_unwritable',
    })
  }
}

/** Reads a journal unless another user may have written it: it contains settings such as `--keep-admins`. */
function journalAt(path: string): { journal: Journal; writtenAt: number } | undefined {
  try {
    if (isForeign(path)) return undefined
    const journal = JSON.parse(readFileSync(path, 'utf8')) as StoredJournal
    if (journal.version !== 2) return undefined
    return { journal: { ...journal, counts: countsFrom(journal.counts) }, writtenAt: statSync(path).mtimeMs }
  } catch {
    return undefined
  }
}

/** Whether a file is unchanged since its identity was stored. */
export function sameFile(one: FileIdentity, other: FileIdentity): boolean {
  return one.size === other.size && one.mtime === other.mtime && one.digest === other.digest
}
