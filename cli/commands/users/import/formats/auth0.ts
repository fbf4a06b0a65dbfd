import { fieldsOf, fullName, rolesInClaims, timeOf } from '../record/field-values.ts'
import { type ImportedPassword, importRecordOf } from '../record/foreign-user.ts'
import { auth0Factors } from '../record/imported-factor.ts'
import { BROKEN_HASH, bytesIn, hashIn, scrypt, unknownAlgorithm } from '../record/imported-hash.ts'
import type { ImportRecord } from '../record/record.ts'
import { jsonRecords } from '../text/json-records.ts'
import type { Fields } from '../text/raw-record.ts'
import type { Bytes } from '../text/text-lines.ts'

/**
 * Reads users of Auth0: an export with or without `passwordHash` (a JSON object per line), or the array that Auth0's own
 * import accepts (`password_hash`, `custom_password_hash`).
 */
export async function* auth0(bytes: Bytes): AsyncGenerator<ImportRecord> {
  for await (const record of jsonRecords(bytes)) yield 'fault' in record ? record : recordOf(record.place, record.value)
}

function recordOf(place: number, user: Fields): ImportRecord {
  const { email, verified } = emailOf(user)
  return importRecordOf(place, {
    email,
    username: user.username,
    name: nameOf(user, email),
    roles: rolesInClaims(user.app_metadata),
    disabled: user.blocked === true,
    emailVerified: verified === true,
    createdAt: timeOf(fieldsOf(user.created_at).$date ?? user.created_at),
    metadata: user.user_metadata,
    app_metadata: user.app_metadata,
    factors: auth0Factors(user.mfa_factors),
    password: passwordOf(user),
  })
}

/** Some exports have the email only in the list of identifiers. */
function emailOf(user: Fields): { email: unknown; verified: unknown } {
  if (typeof user.email === 'string') return { email: user.email, verified: user.email_verified }
  const identifiers = Array.isArray(user.identifiers) ? user.identifiers.map(fieldsOf) : []
  const identifier = identifiers.find(({ type }) => type === 'email')
  return { email: identifier?.value, verified: identifier?.verified }
}

/** Ignores Auth0's defaults: the email as the name, and its local part as the nickname. */
function nameOf({ name, given_name, family_name, nickname }: Fields, email: unknown): string | undefined {
  const local = typeof email === 'string' ? email.split('@')[0] : undefined
  return (
    fullName(name === email ? undefined : name) ??
    fullName(given_name, family_name) ??
    fullName(nickname === local ? undefined : nickname)
  )
}

function passwordOf(user: Fields): ImportedPassword {
  const custom = user.custom_password_hash
  if (custom === undefined || custom === null) return hashIn(user.passwordHash ?? user.password_hash)
  return customHash(fieldsOf(custom))
}

function customHash(custom: Fields): ImportedPassword {
  const { algorithm } = custom
  const hash = typeof custom.hash === 'string' ? { value: custom.hash } : fieldsOf(custom.hash)
  const encoding = fieldsOf(custom.password).encoding
  if (encoding !== undefined && encoding !== 'utf8' && encoding !== 'ascii')
    return { fault: 'The password was hashed in an encoding other than UTF-8' }
  // These algorithms include their salt; a separate one was added to the password before hashing.
  if (algorithm === 'scrypt') return scryptHash(custom, hash)
  if (algorithm !== 'bcrypt' && algorithm !== 'argon2' && algorithm !== 'pbkdf2') return unknownAlgorithm(algorithm)
  if (custom.salt !== undefined) return unknownAlgorithm(`${algorithm} with a separate salt`)
  return hashIn(hash.value) ?? BROKEN_HASH
}

function scryptHash(custom: Fields, hash: Fields): ImportedPassword {
  const salt = bytesOf(fieldsOf(custom.salt))
  const digest = bytesOf(hash)
  const setting = (name: string, fallback: number) => Number(custom[name] ?? hash[name] ?? fallback)
  if (!salt || !digest) return BROKEN_HASH
  return scrypt({
    cost: setting('cost', 16_384),
    blockSize: setting('blockSize', 8),
    parallelization: setting('parallelization', 1),
    salt,
    digest,
  })
}

function bytesOf({ value, encoding = 'utf8' }: Fields): Buffer | undefined {
  if (typeof value !== 'string') return undefined
  if (encoding === 'base64') return bytesIn(value)
  if (encoding === 'hex') return /^(?:[0-9a-fA-F]{2})+$/.test(value) ? Buffer.from(value, 'hex') : undefined
  return encoding === 'utf8' ? Buffer.from(value) : undefined
}
