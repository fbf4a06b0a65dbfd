import type { Caller } from '../kit/caller.ts'
import { Problem } from '../kit/problem.ts'
import type { UserRead } from '../kit/schema/user.ts'
import type { PasswordContext } from './context.ts'
import { userRead } from './present.ts'
import { onBehalfOf } from './requester.ts'
import type { InvitedUser } from './schemas/internal.ts'
import type { User } from './store.ts'
import { addNewUser } from './users.ts'

/**
 * Creates a user without a password, to be invited by auth. A user who has the email and no password yet is given instead,
 * and the other fields are ignored.
 * @throws Problem `email_taken` if the user has a password; `username_taken`
 */
export async function inviteUser(
  context: PasswordContext,
  { by, ...input }: InvitedUser,
  service: Caller,
): Promise<{ user: UserRead; created: boolean }> {
  const { store } = context
  const earlier = await store.userByEmail(input.email)
  if (earlier) return invitedBefore(earlier)
  try {
    return { user: await addNewUser(context, input, null, onBehalfOf(service, by)), created: true }
  } catch (error) {
    // Someone else has invited them meanwhile.
    const user = error instanceof Problem && error.code === 'email_taken' ? await store.userByEmail(input.email) : null
    if (!user) throw error
    return invitedBefore(user)
  }
}

/** @throws Problem `email_taken` */
function invitedBefore(user: User): { user: UserRead; created: boolean } {
  if (user.passwordHash !== null) throw new Problem('email_taken')
  return { user: userRead(user), created: false }
}
