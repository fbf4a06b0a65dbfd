import { strict } from '../../kit/schema/schema.ts'
import { newPassword, password } from '../../kit/schema/user.ts'

/** The body of a user's own change of their password. */
export const changePasswordBody = strict(
  { current_password: password, new_password: newPassword },
  { examples: [{ current_password: 'correct horse battery', new_password: 'a longer horse battery' }] },
)
/** The body of an operator's change of a user's password. */
export const setPasswordBody = strict({ new_password: newPassword })
