import { DatabaseUnavailable } from '../../services/kit/database-unavailable.ts'
import { InternalError } from '../../services/kit/log.ts'

/** SQLite's codes for a failure that is not the program's: of the disk, of the file, or of its lock. */
const UNAVAILABLE = /^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|CORRUPT|NOTADB|CANTOPEN|NOMEM|PROTOCOL)/

function sqliteCodeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && code.startsWith('SQLITE_') ? code : undefined
}

/** Whether another process holds the lock of the file at this moment. */
export function isBusy(error: unknown): boolean {
  return /^SQLITE_(BUSY|LOCKED)/.test(sqliteCodeOf(error) ?? '')
}

/** Gives SQLite's error in terms that every engine shares; returns any other error as it is. */
export function neutralError(error: unknown): unknown {
  const code = sqliteCodeOf(error)
  if (code === undefined) return error
  const { message } = error as Error
  if (UNAVAILABLE.test(code)) return new DatabaseUnavailable(message, code, { cause: error })
  return new InternalError(`${code}: ${message}`, { cause: error })
}
