import type { Caller } from '../kit/caller.ts'
import { type Complaint, errorOf, exactlyOne, excludedBy, type FieldError, REQUIRED } from '../kit/field-errors.ts'
import { isKnownHash, isUnusableHash, KNOWN_HASHES } from '../kit/passwords/hasher.ts'
import { passwordErrors as newPasswordErrors } from '../kit/passwords/policy.ts'
import { Problem } from '../kit/problem.ts'
import type { Config } from '../kit/process/config.ts'
import type { UserCreate } from '../kit/schema/user.ts'
import type { Sender } from '../kit/schema/validation.ts'
import type { InternalPassword } from './model.ts'

// What is wrong with what is sent, beyond its schema. Each takes values of whatever type: of those that the schema
// refuses too it says what it can.

type Settings = Pick<Config, 'passwordMinLength' | 'registrationOpen'>
type Sent<T> = Partial<Record<keyof T, unknown>>

const OPERATOR_FIELDS = ['roles', 'status', 'email_verified'] as const

/**
 * Anyone but an operator gets 403 for a field that only an operator may set: never a silent drop.
 * @throws Problem `forbidden_field`
 */
export function refuseOperatorFields(sent: object, caller: Caller, fields: readonly string[] = OPERATOR_FIELDS): void {
  if (caller.operator) return
  const field = fields.find((name) => name in sent)
  if (field) throw new Problem('forbidden_field', { message: `Only an operator may set ${field}` })
}

/** @throws Problem `forbidden_field`, `registration_closed` */
export function refuseCreation({ registrationOpen }: Settings, sent: object, caller: Caller): void {
  refuseOperatorFields(sent, caller, [...OPERATOR_FIELDS, 'password_hash'])
  if (!caller.operator && !registrationOpen) throw new Problem('registration_closed')
}

/** Of a change of a user: nothing but what is forbidden to the one whom it changes. @throws Problem `forbidden_field` */
export function changeErrors(sent: object, { caller, params }: Sender): FieldError[] {
  if (params.user_id?.toLowerCase() === caller.userId) refuseOperatorFields(sent, caller)
  return []
}

/** Of a new user. @throws Problem as `refuseCreation` */
export function creationErrors(settings: Settings, sent: Sent<UserCreate>, caller: Caller): FieldError[] {
  refuseCreation(settings, sent, caller)
  return passwordErrors(sent, settings.passwordMinLength, caller)
}

/** Of the password of a new user, or the hash in its place. Operators also make users who have neither. */
export function passwordErrors(sent: Sent<UserCreate>, least: number, caller: Caller): FieldError[] {
  if (!caller.operator && sent.password === undefined) return [errorOf('password', REQUIRED)]
  return passwordOrHashErrors(sent, least, sent)
}

/**
 * Of a password or a hash, where there may be neither.
 * @param owner whose email, username and name are no passwords
 */
export function passwordOrHashErrors(
  { password, password_hash }: Sent<UserCreate>,
  least: number,
  { email, name, username }: Sent<UserCreate>,
): FieldError[] {
  const errors = newPasswordErrors('password', password, least, [email, username, name])
  const isSecond = password !== undefined && password_hash !== undefined
  const complaint = isSecond ? excludedBy('password') : hashComplaint(password_hash)
  return complaint ? [...errors, errorOf('password_hash', complaint)] : errors
}

/** Of a password that is set for someone who is there already: what they are called is looked at later. */
export function setPasswordErrors({ passwordMinLength }: Settings, sent: { new_password?: unknown }): FieldError[] {
  return newPasswordErrors('new_password', sent.new_password, passwordMinLength, [])
}

/** Of what ends a reset or replaces a hash. */
export function internalPasswordErrors(settings: Settings, sent: Sent<InternalPassword>): FieldError[] {
  const { if_version, new_password, password_hash } = sent
  if (new_password !== undefined) {
    const isSecond = password_hash !== undefined || if_version !== undefined
    const second = isSecond ? [errorOf('new_password', excludedBy('password_hash'))] : []
    return [...second, ...setPasswordErrors(settings, sent)]
  }
  if (password_hash === undefined) return exactlyOne(sent, ['new_password', 'password_hash'])
  const complaint = hashComplaint(password_hash)
  return [
    ...(complaint ? [errorOf('password_hash', complaint)] : []),
    ...(if_version === undefined ? [errorOf('if_version', REQUIRED)] : []),
  ]
}

/** Of a hash that comes from elsewhere, where it is text. */
function hashComplaint(hash: unknown): Complaint | undefined {
  if (typeof hash !== 'string' || isKnownHash(hash) || isUnusableHash(hash)) return undefined
  return { code: 'format', message: `must be ${KNOWN_HASHES}` }
}
