import { ADMIN, type Caller } from '../../kit/caller.ts'
import { type Complaint, errorOf, type FieldError, notAllowed } from '../../kit/field-errors.ts'
import { isUnusableHash } from '../../kit/passwords/hasher.ts'
import { bothTaken, invalid, invalidField, Problem } from '../../kit/problem.ts'
import type { ImportedUser } from '../model.ts'
import { auditedNotice, changeNotice } from '../outbox.ts'
import { passwordChange } from '../passwords.ts'
import { passwordOrHashErrors } from '../policy.ts'
import type { NewUser, Taken, User } from '../store.ts'
import { type Change, changes, event, newUser, passwordHashOf, type UsersContext } from '../users.ts'

const HASH_TRIES = 10
const HASH_PAUSE = 200

export type ChangeOf = (current: User) => Change

/**
 * The user that a line of an import makes; what it brings of an earlier life, its id and its times, is kept.
 * @throws Problem `validation_failed`, `weak_password`, `overloaded`
 */
export async function freshUser(context: UsersContext, input: ImportedUser, caller: Caller): Promise<NewUser> {
  check(passwordOrHashErrors(input, context.config.passwordMinLength, input))
  const now = context.clock.now()
  const timeOf = (given: string | undefined) => (given === undefined ? now : Date.parse(given))
  const user = newUser(input, {
    id: input.id?.toLowerCase() ?? context.random.id(),
    passwordHash: await passwordHashOf(input, (password) => hash(context, password)),
    createdAt: timeOf(input.created_at),
    updatedAt: timeOf(input.updated_at),
  })
  const { id, roles } = user
  // The others are told of together; who may do anything is named.
  const admin = roles.includes(ADMIN) ? [auditedNotice(event(context, 'user.created', id, caller, { roles }))] : []
  return { user, notices: [changeNotice(id), ...admin] }
}

/**
 * The change that a line of an import makes to the user who has its email: that of a PATCH with its fields, and another
 * password ends the sessions.
 * @throws Problem as `freshUser`
 */
export async function changeOf(context: UsersContext, there: User, input: ImportedUser): Promise<ChangeOf> {
  const isOther = input.id !== undefined && input.id.toLowerCase() !== there.id
  check([
    ...(isOther ? [errorOf('id', notAllowed('must be that of the user who has the email'))] : []),
    ...passwordOrHashErrors(input, context.config.passwordMinLength, { ...there, email: input.email }),
  ])
  const passwordHash = await hashWanted(context, there, input)
  return (current) => {
    const change = changes(current, input)
    if (passwordHash === undefined || passwordHash === current.passwordHash) return change
    const { fields, events } = passwordChange(current, passwordHash, 'password.set', null)
    return { fields: { ...change.fields, ...fields }, events: [...change.events, ...events] }
  }
}

const ID_TAKEN: Complaint = { code: 'taken', message: 'is that of another user, or was: leave it out for a new one' }

/** @param whats what of the line someone has already; `id_taken` stands alone */
export function takenProblem(whats: readonly (Taken | 'id_taken')[]): Problem {
  const [what = 'id_taken', other] = whats
  if (what === 'id_taken') return invalidField('id', ID_TAKEN)
  return other === undefined ? new Problem(what) : bothTaken()
}

/** Undefined where the user has that password already. */
async function hashWanted(context: UsersContext, there: User, input: ImportedUser): Promise<string | undefined> {
  const { password, password_hash } = input
  // Someone without a password there keeps the one that is here.
  if (password === undefined)
    return password_hash === undefined || isUnusableHash(password_hash) ? undefined : password_hash
  const before = there.passwordHash
  const match = before === null ? null : await patiently(() => context.hasher.verify(password, before))
  return match ? undefined : hash(context, password)
}

/** @throws Problem `validation_failed`, `weak_password` */
function check(errors: FieldError[]): void {
  if (errors.length > 0) throw invalid(errors)
}

function hash({ hasher }: UsersContext, password: string): Promise<string> {
  return patiently(() => hasher.hash(password))
}

/** Waits for a place in the queue of the hasher; after 2 seconds without one the line fails, and can be sent again. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++)
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== 'overloaded' || tries === HASH_TRIES) throw error
      await Bun.sleep(HASH_PAUSE)
    }
}
