import { ADMIN, type Caller } from '../../kit/caller.ts'
import { type Complaint, errorOf, type FieldError, notAllowed } from '../../kit/field-errors.ts'
import { isUnusableHash } from '../../kit/passwords/hasher.ts'
import { bothTaken, invalid, invalidField, Problem } from '../../kit/problem.ts'
import type { Change } from '../change.ts'
import { changeBy } from '../changes.ts'
import type { PasswordContext } from '../context.ts'
import { auditRowNotice, changeNotice } from '../notices.ts'
import { passwordChange } from '../passwords.ts'
import { passwordOrHashErrors } from '../policy.ts'
import type { ImportedUser } from '../schemas/bulk.ts'
import type { NewUser, Taken, User } from '../store.ts'
import { newUser, passwordHashOf } from '../users.ts'

// What one line of an import creates or changes.

const HASH_TRIES = 10
/** Milliseconds between two tries. */
const HASH_RETRY_MS = 200

export type ChangeOf = (current: User) => Change

/**
 * The user that a line creates. The id and the times of the line are kept.
 * @throws Problem `validation_failed`, `weak_password`, `overloaded`
 */
export async function userFrom(context: PasswordContext, input: ImportedUser, caller: Caller): Promise<NewUser> {
  refuse(passwordOrHashErrors(input, context.config.passwordMinLength, input))
  const now = context.clock.now()
  const user = newUser(input, {
    id: input.id?.toLowerCase() ?? context.random.id(),
    passwordHash: await passwordHashOf(input, (password) => hash(context, password)),
    createdAt: input.created_at === undefined ? now : Date.parse(input.created_at),
    updatedAt: input.updated_at === undefined ? now : Date.parse(input.updated_at),
  })
  const { id, roles } = user
  // The audit has one row for each batch of users, and a row of their own for each administrator.
  const isAdmin = roles.includes(ADMIN)
  const rows = isAdmin ? [auditRowNotice(context, caller, id, ['user.created', { roles }])] : []
  return { user, notices: [changeNotice(id, now), ...rows] }
}

/**
 * The change that a line makes to the user who has its email: that of a PATCH with its fields. Another password ends
 * the sessions.
 * @throws Problem as `userFrom`
 */
export async function changeFrom(context: PasswordContext, user: User, input: ImportedUser): Promise<ChangeOf> {
  const hasOtherId = input.id !== undefined && input.id.toLowerCase() !== user.id
  refuse([
    ...(hasOtherId ? [errorOf('id', notAllowed('must be that of the user who has the email'))] : []),
    ...passwordOrHashErrors(input, context.config.passwordMinLength, { ...user, email: input.email }),
  ])
  const passwordHash = await otherHash(context, user, input)
  return (current) => {
    const change = changeBy(current, input)
    if (passwordHash === undefined || passwordHash === current.passwordHash) return change
    const { fields, audit } = passwordChange(current, passwordHash, { type: 'password.set', sessionKept: null })
    return { fields: { ...change.fields, ...fields }, audit: [...change.audit, ...audit] }
  }
}

const ID_TAKEN: Complaint = {
  code: 'taken',
  message: 'is that of another user or of a deleted one: leave it out to get a new one',
}

/** @param conflicts the names that another user has; `id_taken` stands alone */
export function takenProblem(conflicts: readonly (Taken | 'id_taken')[]): Problem {
  const [first = 'id_taken', second] = conflicts
  if (first === 'id_taken') return invalidField('id', ID_TAKEN)
  return second === undefined ? new Problem(first) : bothTaken()
}

/** The hash to store; undefined if the user has that password already, or if the line says nothing of one. */
async function otherHash(context: PasswordContext, user: User, input: ImportedUser): Promise<string | undefined> {
  const { password, password_hash } = input
  // A line of a user without a password leaves the password as it is.
  if (password === undefined)
    return password_hash === undefined || isUnusableHash(password_hash) ? undefined : password_hash
  const before = user.passwordHash
  const isSame = before !== null && (await retryWhileOverloaded(() => context.hasher.verify(password, before)))
  return isSame ? undefined : hash(context, password)
}

/** @throws Problem `validation_failed`, `weak_password` if there are errors */
function refuse(errors: FieldError[]): void {
  if (errors.length > 0) throw invalid(errors)
}

function hash({ hasher }: PasswordContext, password: string): Promise<string> {
  return retryWhileOverloaded(() => hasher.hash(password))
}

/** Retries while the hash queue is full, for 2 seconds: then the line fails, and the client can send it again. */
async function retryWhileOverloaded<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++)
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== 'overloaded' || tries === HASH_TRIES) throw error
      await Bun.sleep(HASH_RETRY_MS)
    }
}
