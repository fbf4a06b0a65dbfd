import { DatabaseUnavailable } from '../../services/kit/database-unavailable.ts'
import { InternalError } from '../../services/kit/log.ts'

/**
 * Codes of SQL for a transaction that made nothing and may be repeated: it conflicted with another (serialization failure,
 * deadlock), or the server ended it because this process stood still.
 */
const CONFLICTS = new Set(['40001', '40P01', '25P03'])
/**
 * Classes of codes for a failure that is not the program's: the connection, a login or a database that the server refuses,
 * resources, the operator's intervention, the system; a transaction that waited too long; a server that is read-only (a
 * standby); an internal error of the server.
 */
const UNAVAILABLE = /^(08|28|3D|53|57|58|XX)|^(25P03|25P04|25006|40001|40P01|55P03)$/

/** Codes of a connection that fails: those of the driver, and of the system. */
const CONNECTION = /^(ERR_POSTGRES_|ECONN|EHOST|ENET|ENOTFOUND|ETIMEDOUT|EPIPE)/
/** Codes of a certificate that is not valid. */
const TLS = /^(ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_CA|HOSTNAME_MISMATCH)/

/** The code of a server that is read-only: a standby, or one whose settings say so. */
const READ_ONLY = '25006'
/** The code of a statement in a transaction that has failed already. */
const IN_FAILED_TRANSACTION = '25P02'
/** The code of an unsupported feature, and the function of the server that reports it for `SERIALIZABLE` on a standby. */
const ON_STANDBY = { errno: '0A000', routine: 'call_enum_check_hook' }

/** The code of SQL of an error from the server (`SQLSTATE`), which Bun's driver has in `errno`. */
export function sqlState(error: unknown): string | undefined {
  const { errno, routine } = (error ?? {}) as { errno?: unknown; routine?: unknown }
  if (errno === ON_STANDBY.errno && routine === ON_STANDBY.routine) return READ_ONLY
  return typeof errno === 'string' && /^[0-9A-Z]{5}$/.test(errno) ? errno : undefined
}

export function isConflict(error: unknown): boolean {
  return CONFLICTS.has(sqlState(error) ?? '')
}

/** Whether the server refused a statement because an earlier one of the transaction failed. */
export function isAfterFailure(error: unknown): boolean {
  return sqlState(error) === IN_FAILED_TRANSACTION
}

/**
 * Gives a driver's error in terms that every engine shares; returns any other error as it is. The text of the server's
 * error is left out, because it may quote a value: a name or an email.
 */
export function neutralError(error: unknown): unknown {
  const state = sqlState(error)
  if (state !== undefined) {
    if (UNAVAILABLE.test(state))
      return new DatabaseUnavailable(`PostgreSQL answered ${state}`, state, { isReadOnly: state === READ_ONLY })
    const { constraint } = error as { constraint?: string }
    return new InternalError(`PostgreSQL answered ${state}${constraint ? ` (${constraint})` : ''}`)
  }
  const code = codeOf(error)
  if (CONNECTION.test(code)) return new DatabaseUnavailable('PostgreSQL cannot be reached', code)
  if (isTlsError(error)) return new DatabaseUnavailable('The certificate of PostgreSQL is not valid', code)
  return error
}

/** Whether the certificate of the server is not valid. */
export function isTlsError(error: unknown): boolean {
  return TLS.test(codeOf(error))
}

function codeOf(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown }
  return typeof code === 'string' ? code : ''
}
