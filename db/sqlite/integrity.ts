import type { Database } from 'bun:sqlite'
import { closeSync, existsSync, openSync, readFileSync, readSync, statSync } from 'node:fs'
import { DatabaseError } from '../database-error.ts'

const HEADER_SIZE = 100
const LOG_HEADER_SIZE = 32
const LOG_MAGIC = 0x377f0682
const FRAME_HEADER_SIZE = 24
/** Bytes up to which a start checks every page: about 4 ms per MiB. `ch202 doctor` checks larger files. */
const CHECKED_AT_START = 32 * 1024 * 1024

function damaged(path: string, fault: string, cause?: unknown): DatabaseError {
  return new DatabaseError(`${path} is damaged: ${fault}. Restore it from a backup`, { cause })
}

/**
 * Checks a file before SQLite opens it, because SQLite tolerates some damage silently: the header holds the number of
 * pages and the id of the owner.
 * @param owner the service, and the id in the header of its database
 * @throws DatabaseError when the file is cut short, is not a database, or belongs to another service
 */
export function refuseDamagedFile(path: string, owner?: { name: string; id: number }): void {
  const header = startOf(path, HEADER_SIZE)
  if (header.length < HEADER_SIZE || header.toString('latin1', 0, 15) !== 'SQLite format 3')
    throw damaged(path, 'it is not a SQLite database')
  const stored = header.readUInt16BE(16)
  const pageSize = stored === 1 ? 65536 : stored
  // Checked before SQLite opens the file: SQLite would write the log beside it into a database of another service.
  if (owner && header.readUInt32BE(68) !== owner.id)
    throw new DatabaseError(`${path} is not the database of the ${owner.name} service. Restore it from a backup`)
  const log = new WriteAheadLog(`${path}-wal`)
  if (log.size > 0 && !log.isReadable()) throw damaged(log.path, 'it holds the latest writes and cannot be read')
  // A kill while SQLite writes the log back may leave the last pages in the log only.
  const last = header.readUInt32BE(28)
  const inFile = Math.floor(statSync(path).size / pageSize)
  if (inFile >= last) return
  const inLog = log.pages(pageSize)
  for (let page = inFile + 1; page <= last; page++)
    if (!inLog.has(page)) throw damaged(path, 'it is shorter than its header says')
}

/** SQLite would apply a log without a database to the next one of that name. @throws DatabaseError when there is one */
export function refuseLogAlone(path: string): void {
  const log = statSync(`${path}-wal`, { throwIfNoEntry: false })
  // Checks for the database again: another process may have created both meanwhile.
  if (log !== undefined && log.size > 0 && !existsSync(path))
    throw new DatabaseError(
      `${path} is missing, and ${path}-wal holds its latest writes. Put the database back, or restore it from a backup`,
    )
}

/** The write-ahead log of a database (https://sqlite.org/fileformat2.html, 4). */
class WriteAheadLog {
  /** Bytes; 0 when there is no log, or it holds only a header. */
  readonly size: number

  constructor(readonly path: string) {
    const size = existsSync(path) ? statSync(path).size : 0
    this.size = size > LOG_HEADER_SIZE ? size : 0
  }

  /**
   * Whether the header's checksum is right: otherwise SQLite would silently drop the whole log. No power cut damages the
   * header, which is on the disk before the first frame. A torn end belongs to a commit that was never answered.
   */
  isReadable(): boolean {
    const header = startOf(this.path, LOG_HEADER_SIZE)
    const magic = header.readUInt32BE(0)
    // The last bit of the magic number is the byte order of the checksum.
    const word = (at: number) => (magic & 1 ? header.readUInt32BE(at) : header.readUInt32LE(at))
    let [first, second] = [0, 0]
    for (let at = 0; at < 24; at += 8) {
      first = (first + word(at) + second) >>> 0
      second = (second + word(at + 4) + first) >>> 0
    }
    return magic >>> 1 === LOG_MAGIC >>> 1 && header.readUInt32BE(24) === first && header.readUInt32BE(28) === second
  }

  /** The numbers of the pages that the log holds. */
  pages(pageSize: number): Set<number> {
    const pages = new Set<number>()
    if (this.size === 0) return pages
    const bytes = readFileSync(this.path)
    // Older frames, which have other salts, may follow the current ones.
    const salts = bytes.subarray(16, 24)
    for (
      let at = LOG_HEADER_SIZE;
      at + FRAME_HEADER_SIZE + pageSize <= bytes.length;
      at += FRAME_HEADER_SIZE + pageSize
    )
      if (bytes.subarray(at + 8, at + 16).equals(salts)) pages.add(bytes.readUInt32BE(at))
    return pages
  }
}

/** Checks every page of a file, unless it is too large to check at a start. @throws DatabaseError with SQLite's finding */
export function refuseDamagedPages(raw: Database, path: string): void {
  if (statSync(path).size > CHECKED_AT_START) return
  const finding = raw.query<{ quick_check: string }, []>('PRAGMA quick_check(1)').get()?.quick_check
  if (finding !== 'ok') throw damaged(path, String(finding).replaceAll('\n', ' '))
}

/** Gives SQLite's error about a file as one that the operator can act on. */
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
