import { type Complaint, errorOf, excludedBy } from '../../../../services/kit/field-errors.ts'
import { isSupportedHash, isUnusableHash, SUPPORTED_HASHES } from '../../../../services/kit/passwords/hasher.ts'
import { invalid, Problem } from '../../../../services/kit/problem.ts'
import type { Environment } from '../../../client/settings.ts'
import type { ImportLine, ImportRecord } from './record/record.ts'
import { type Refusal, refusalOf, unreadableRefusal } from './refusal.ts'

/** Default minimum length in characters, as in `services/kit/process/config.ts`. */
const PASSWORD_MIN = 8

/**
 * Creates a function that checks a record as the API would, except for conflicts with existing users; it returns the
 * refusal of a record that is not valid. The minimum length of a password is a setting of the service, which is read from
 * the tool's own environment. The schemas are loaded here, so that other commands start without them.
 */
export async function createRecordCheck({ PASSWORD_MIN_LENGTH }: Environment) {
  const minLength = Number(PASSWORD_MIN_LENGTH?.trim()) || PASSWORD_MIN
  const [{ strict, uuid, moment }, { userCreate }, { validator }, { readObject }, { passwordErrors }, { Type }] =
    await Promise.all([
      import('../../../../services/kit/schema/schema.ts'),
      import('../../../../services/kit/schema/user.ts'),
      import('../../../../services/kit/schema/validation.ts'),
      import('../../../../services/kit/messages/body.ts'),
      import('../../../../services/kit/passwords/policy.ts'),
      import('@sinclair/typebox'),
    ])
  const passwordErrorsOf = ({ email, name, password, password_hash, username }: ImportLine) => {
    const errors = passwordErrors('password', password, minLength, [email, username, name])
    const complaint = hashComplaint(password, password_hash)
    return complaint ? [...errors, errorOf('password_hash', complaint)] : errors
  }
  const validate = validator(
    strict({
      ...userCreate.properties,
      id: Type.Optional(uuid()),
      created_at: Type.Optional(moment()),
      updated_at: Type.Optional(moment()),
    }),
    passwordErrorsOf,
  )
  /** @throws Problem */
  const checkUser = (user: ImportLine) => {
    const body = readObject(JSON.stringify(user))
    if ('problem' in body) throw body.problem
    const errors = passwordErrorsOf(validate(body.value))
    if (errors.length > 0) throw invalid(errors)
  }
  return (record: ImportRecord): Refusal | undefined => {
    if ('fault' in record) return unreadableRefusal(record)
    try {
      checkUser(record.user)
      return undefined
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      return refusalOf(record, error.code, [error.publicMessage].flat().join('; '))
    }
  }
}

function hashComplaint(password: unknown, hash: unknown): Complaint | undefined {
  if (hash !== undefined && password !== undefined) return excludedBy('password')
  if (typeof hash !== 'string') return undefined
  return isSupportedHash(hash) || isUnusableHash(hash)
    ? undefined
    : { code: 'format', message: `must be ${SUPPORTED_HASHES}` }
}
