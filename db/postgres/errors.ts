import { DatabaseUnavailable } from '../../services/kit/database-unavailable.ts'
import { InternalError } from '../../services/kit/log.ts'

/** Codes of SQL for a transaction that conflicted with another and may be repeated: serialization failure, deadlock. */
const CONFLICTS = new Set(['40001', '40P01'])
/**
 * Classes of codes for a failure that is not the program's: the connection, resources, the operator's intervention, the
 * system; a transaction that waited too long; a server that is read-only (a standby); an internal error of the server.
 */
const UNAVAILABLE = /^(08|53|57|58|XX)|^(25P03|25P04|25006|40001|40P01|55P03)$/

/** The code of SQL of an error from the server (`SQLSTATE`), which Bun's driver has in `errno`. */
export function sqlState(error: unknown): string | undefined {
  const { errno } = (error ?? {}) as { errno?: unknown }
  return typeof errno === 'string' && /^[0-9A-Z]{5}$/.test(errno) ? errno : undefined
}

export function isConflict(error: unknown): boolean {
  return CONFLICTS.has(sqlState(error) ?? '')
}

/**
 * Gives a driver's error in terms that every engine shares; returns any other error as it is. The text of the server's
 * error is left out, because it may quote a value: a name or an email.
 */
export function neutralError(error: unknown): unknown {
  const state = sqlState(error)
  if (state !== undefined) {
    if (UNAVAILABLE.test(state)) return new DatabaseUnavailable(`PostgreSQL answered ${state}`, state)
    const { constraint } = error as { constraint?: string }
    return new InternalError(`PostgreSQL answered ${state}${constraint ? ` (${constraint})` : ''}`)
  }
  const { code } = (error ?? {}) as { code?: unknown }
  if (typeof code === 'string' && /^(ERR_POSTGRES_|ECONN|EHOST|ENET|ENOTFOUND|ETIMEDOUT|EPIPE)/.test(code))
    return new DatabaseUnavailable('PostgreSQL cannot be reached', code)
  return error
}
