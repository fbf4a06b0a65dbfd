import { fieldsInJson, fieldsOf, fullName, roleNames, timeOf } from '../record/field-values.ts'
import { type ImportedPassword, importRecordOf } from '../record/foreign-user.ts'
import { keycloakFactors } from '../record/imported-factor.ts'
import { argon2, hashIn, isPbkdf2, pbkdf2, unknownAlgorithm } from '../record/imported-hash.ts'
import type { ImportRecord } from '../record/record.ts'
import { jsonRecords } from '../text/json-records.ts'
import type { Fields } from '../text/raw-record.ts'
import type { Bytes } from '../text/text-lines.ts'

/** Roles that every user of a realm has. */
const DEFAULT_ROLES = /^(default-roles-.*|offline_access|uma_authorization)$/

/** Reads users of Keycloak from `kc.sh export`: a realm with its users, a users file, or several realms. */
export async function* keycloak(source: Bytes): AsyncGenerator<ImportRecord> {
  for await (const record of jsonRecords(source))
    yield 'fault' in record ? record : recordOf(record.place, record.value)
}

function recordOf(place: number, user: Fields): ImportRecord {
  if (typeof user.serviceAccountClientId === 'string')
    return { place, fault: 'Service account of a client, not a user' }
  return importRecordOf(place, {
    id: user.id,
    email: user.email,
    username: user.username,
    name: fullName(user.firstName, user.lastName),
    roles: roleNames(user.realmRoles).filter((role) => !DEFAULT_ROLES.test(role)),
    disabled: user.enabled === false,
    emailVerified: user.emailVerified === true,
    createdAt: timeOf(user.createdTimestamp),
    attributes: Object.keys(fieldsOf(user.attributes)).length > 0,
    factors: keycloakFactors(user.credentials),
    password: passwordOf(user.credentials),
  })
}

function passwordOf(credentials: unknown): ImportedPassword {
  const all = Array.isArray(credentials) ? credentials.map(fieldsOf) : []
  const credential = all.find(({ type }) => type === 'password')
  if (!credential) return null
  // Before version 9 these fields were in the credential itself.
  const secret = credential.secretData === undefined ? credential : fieldsInJson(credential.secretData)
  const data = credential.credentialData === undefined ? credential : fieldsInJson(credential.credentialData)
  return hashOf(data, secret.value ?? secret.hashedSaltedValue, secret.salt)
}

function hashOf(data: Fields, digest: unknown, salt: unknown): ImportedPassword {
  const { algorithm, hashIterations } = data
  if (isPbkdf2(algorithm)) return pbkdf2({ algorithm, iterations: hashIterations, salt, digest })
  if (algorithm === 'argon2') {
    const parameters = fieldsOf(data.additionalParameters)
    const first = (name: string) => [parameters[name]].flat()[0]
    return argon2({
      type: first('type'),
      version: first('version'),
      memory: first('memory'),
      passes: hashIterations,
      lanes: first('parallelism'),
      salt,
      digest,
    })
  }
  return algorithm === 'bcrypt' ? hashIn(digest) : unknownAlgorithm(algorithm)
}
