import { createHash } from 'node:crypto'
import { exactlyOne, type FieldError } from '../../kit/field-errors.ts'
import { invalid } from '../../kit/problem.ts'
import { emailKey, isEmail } from '../../kit/schema/email.ts'
import type { LoginBody } from '../schemas/login.ts'
import type { Account, AccountStore } from '../store/index.ts'

/** The email or username that a user typed to log in. */
export interface LoginIdentifier {
  by: 'email' | 'username'
  name: string
}

/** Returns the errors of a login body that does not contain exactly one of `email`, `username` and `login`. */
export function loginErrors(body: object): FieldError[] {
  return exactlyOne(body, ['email', 'username', 'login'])
}

/** Reads the identifier from a login body. @throws Problem `validation_failed` unless there is exactly one */
export function identifierIn({ email, login, username }: Omit<LoginBody, 'password'>): LoginIdentifier {
  const errors = loginErrors({ email, username, login })
  if (errors.length > 0) throw invalid(errors)
  if (email !== undefined) return identifier(email, 'email')
  return username === undefined ? identifier(login ?? '') : identifier(username, 'username')
}

/** Builds an identifier. @param by the field that contained the name; without it, the form of the name decides */
export function identifier(name: string, by?: LoginIdentifier['by']): LoginIdentifier {
  if ((by ?? (isEmail(name) ? 'email' : 'username')) === 'email') return { by: 'email', name }
  return { by: 'username', name: name.toLowerCase() }
}

/** Finds the account of an identifier in the cache, also an account that was dropped from it. */
export async function findAccount(
  { store }: { store: AccountStore },
  { by, name }: LoginIdentifier,
): Promise<Account | null> {
  return by === 'email' ? await store.accountByEmail(name) : await store.accountByUsername(name)
}

/** Returns the key by which failed logins are counted: the account's id, or a digest of an unknown name. */
export function failureKey(account: Account | null, identifier: LoginIdentifier): string {
  return account?.userId ?? nameKey(identifier.name)
}

/** Returns the key by which failures from a known device are counted: nobody else can lock its owner out. */
export function deviceKey(deviceId: string): string {
  return `device ${deviceId}`
}

/** Returns the key of an unknown name: a digest, so that the name itself is never stored. */
export function nameKey(name: string): string {
  return createHash('sha256').update(emailKey(name)).digest('base64url')
}
