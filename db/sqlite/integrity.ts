import type { Database } from 'bun:sqlite'
import { closeSync, existsSync, openSync, readFileSync, readSync, statSync } from 'node:fs'

/** Why a database can't be opened, said for the operator. */
export class DatabaseError extends Error {
  override name = 'DatabaseError'
}

const HEADER_SIZE = 100
const LOG_HEADER_SIZE = 32
const LOG_MAGIC = 0x377f0682
const FRAME_HEADER_SIZE = 24
/** Bytes up to which every page is looked at when a service starts: about 4 ms each MiB. Above it `ch202 doctor` does. */
const LOOKED_AT = 32 * 1024 * 1024

function damaged(path: string, what: string, cause?: unknown): DatabaseError {
  return new DatabaseError(`${path} is damaged: ${what}. Restore it from a backup`, { cause })
}

/**
 * Looks at a database before SQLite does, which makes the best of what it finds: the header says how many pages there
 * should be and whose they are.
 * @param owner the service, and what stands in the header of its database
 * @throws DatabaseError when it is cut, is no database, or is not the owner's
 */
export function refuseDamagedFile(path: string, owner?: { name: string; id: number }): void {
  const header = startOf(path, HEADER_SIZE)
  if (header.length < HEADER_SIZE || header.toString('latin1', 0, 15) !== 'SQLite format 3')
    throw damaged(path, 'it is not a SQLite database')
  const stored = header.readUInt16BE(16)
  const pageSize = stored === 1 ? 65536 : stored
  // Before the file is open: then the log that lies beside it would be written into what it is not of.
  if (owner && header.readUInt32BE(68) !== owner.id)
    throw new DatabaseError(`${path} is not the database of the ${owner.name} service. Restore it from a backup`)
  const log = new Log(`${path}-wal`)
  if (log.size > 0 && !log.isRight()) throw damaged(log.path, 'what was written last stands in it and can not be read')
  // A kill while the log is written back leaves the first page there and the last ones not: they are still in the log.
  const last = header.readUInt32BE(28)
  const there = Math.floor(statSync(path).size / pageSize)
  if (there >= last) return
  const kept = log.pages(pageSize)
  for (let page = there + 1; page <= last; page++)
    if (!kept.has(page)) throw damaged(path, 'it is shorter than its header says')
}

/** A log without its database would be taken for that of the new one. @throws DatabaseError when there is one */
export function refuseLogAlone(path: string): void {
  const log = statSync(`${path}-wal`, { throwIfNoEntry: false })
  // Looks for the database again: another process may have made both meanwhile.
  if (log !== undefined && log.size > 0 && !existsSync(path))
    throw new DatabaseError(
      `${path} is missing, and what was written last lies in ${path}-wal. Put it back, or restore it from a backup`,
    )
}

/** The write-ahead log of a database (https://sqlite.org/fileformat2.html, 4). */
class Log {
  /** 0 where there is none, or nothing but a header. */
  readonly size: number

  constructor(readonly path: string) {
    const size = existsSync(path) ? statSync(path).size : 0
    this.size = size > LOG_HEADER_SIZE ? size : 0
  }

  /**
   * Of a log whose header is not right SQLite would drop all, in silence. The header is on the disk before anything
   * follows it, so no power cut leaves that. A tail that is torn is of a commit that was not answered.
   */
  isRight(): boolean {
    const header = startOf(this.path, LOG_HEADER_SIZE)
    const magic = header.readUInt32BE(0)
    // Its last bit says in which order the bytes are summed.
    const word = (at: number) => (magic & 1 ? header.readUInt32BE(at) : header.readUInt32LE(at))
    let [first, second] = [0, 0]
    for (let at = 0; at < 24; at += 8) {
      first = (first + word(at) + second) >>> 0
      second = (second + word(at + 4) + first) >>> 0
    }
    return magic >>> 1 === LOG_MAGIC >>> 1 && header.readUInt32BE(24) === first && header.readUInt32BE(28) === second
  }

  /** The numbers of the pages that it holds. */
  pages(pageSize: number): Set<number> {
    const found = new Set<number>()
    if (this.size === 0) return found
    const bytes = readFileSync(this.path)
    // Frames of an earlier round lie behind those of this one, and have other salts.
    const salts = bytes.subarray(16, 24)
    for (
      let at = LOG_HEADER_SIZE;
      at + FRAME_HEADER_SIZE + pageSize <= bytes.length;
      at += FRAME_HEADER_SIZE + pageSize
    )
      if (bytes.subarray(at + 8, at + 16).equals(salts)) found.add(bytes.readUInt32BE(at))
    return found
  }
}

/** @throws DatabaseError that says what SQLite finds wrong with the pages of a file that is not too large for it */
export function refuseDamagedPages(raw: Database, path: string): void {
  if (statSync(path).size > LOOKED_AT) return
  const said = raw.query<{ quick_check: string }, []>('PRAGMA quick_check(1)').get()?.quick_check
  if (said !== 'ok') throw damaged(path, String(said).replaceAll('\n', ' '))
}

/** What SQLite says of a file, for the operator. */
export function openingError(path: string, error: unknown): DatabaseError {
  if (error instanceof DatabaseError) return error
  const { code, message } = error as { code?: unknown; message?: unknown }
  if (typeof code === 'string' && /^SQLITE_(CORRUPT|NOTADB)/.test(code)) return damaged(path, String(message), error)
  return new DatabaseError(`${path} cannot be opened: ${message ?? 'unknown error'}`, { cause: error })
}

function startOf(path: string, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  const file = openSync(path, 'r')
  try {
    return bytes.subarray(0, readSync(file, bytes, 0, length, 0))
  } finally {
    closeSync(file)
  }
}
