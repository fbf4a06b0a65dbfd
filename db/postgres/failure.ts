import { DatabaseUnavailable } from '../../services/kit/database-unavailable.ts'
import { DatabaseError } from '../database-error.ts'
import { isTlsError, neutralError, sqlState } from './errors.ts'

/** Reports to the operator why PostgreSQL refuses or does not answer. It quotes nothing that the server said. */
export class PostgresFailure extends DatabaseError {
  override name = 'PostgresFailure'
  /**
   * @param code that of SQL, or of the driver
   * @param isTemporary whether the same may succeed later, without a change by the operator
   */
  constructor(
    message: string,
    readonly code: string,
    readonly isTemporary = false,
  ) {
    super(message)
  }
}

/** Explanations of what operators meet, by the code of SQL or of the driver. `$host` is the address of the server. */
const REASONS: Record<string, string> = {
  ERR_POSTGRES_CONNECTION_REFUSED:
    'PostgreSQL cannot be reached at $host: nothing answers there, or the name of the host is unknown',
  ERR_POSTGRES_TLS_NOT_AVAILABLE: 'The server $host has no TLS: turn it on, or leave sslmode out of the address',
  ERR_POSTGRES_UNSUPPORTED_AUTHENTICATION_METHOD:
    'The server $host asks for a login of another kind: its pg_hba.conf must have scram-sha-256 for this user',
  ERR_TLS_CERT_ALTNAME_INVALID: 'The certificate of $host is for another name',
  CERT_HAS_EXPIRED: 'The certificate of $host has expired',
  '28000':
    'PostgreSQL at $host refuses this user: it does not exist, may not log in, or no line of pg_hba.conf admits it as it connects (some demand ?sslmode=require)',
  '28P01': 'PostgreSQL at $host refuses this user or password. In an address, @ in a password is %40 and % is %25',
  '3D000': 'There is no database of this name at $host: createdb creates it',
  '42501':
    'The user of the database lacks a right that this needs: it must own the database, or a schema for each service',
  '53100': 'The disk of PostgreSQL is full',
  '53300': 'PostgreSQL at $host has no connection left',
  '55P03': 'Another process has locked the database: a node that starts, a migration, or another move',
  '57P03': 'PostgreSQL at $host is starting, stopping or recovering',
  '25006': 'PostgreSQL at $host is read-only: it is a standby, or its settings say so',
}

/**
 * Turns an error of the driver or the server into words; gives any other error back.
 * @param address of the database. The words have its host and port, never its user and password
 * @param subject the beginning of the words for a code that is not explained
 */
export function explained(error: unknown, address: string, subject = ''): unknown {
  const neutral = neutralError(error)
  if (neutral === error) return error
  const code = sqlState(error) ?? (error as { code: string }).code
  const reason = REASONS[code] ?? (isTlsError(error) ? CERTIFICATE : undefined)
  const message = reason?.replace('$host', new URL(address).host) ?? `${subject}${(neutral as Error).message}`
  return new PostgresFailure(message, code, neutral instanceof DatabaseUnavailable && !PERMANENT.test(code))
}

const CERTIFICATE =
  'The certificate of $host cannot be verified: NODE_EXTRA_CA_CERTS names the file of the authority that signed it'
/** Codes of failures that last until somebody changes the address, the server or its certificate. */
const PERMANENT = /^(28|3D|ERR_TLS_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERR_POSTGRES_(TLS|UNSUPPORTED))/
