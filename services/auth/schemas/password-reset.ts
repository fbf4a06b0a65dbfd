import { t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { email, strict, trimmed } from '../../kit/schema/schema.ts'
import { newPassword } from '../../kit/schema/user.ts'
import { tokenText } from './fields.ts'

const RESET_TOKEN = 'kJc0qk2oZ0yVh1mWm3n5c7'

/** The answer to a request for a reset mail, whether or not the address has an account. */
export const RESET_ANSWER = 'If the address is known, a mail with a link is on its way'

export const resetRequestBody = strict({
  email: described(trimmed(email()), 'The email of the account'),
})
export const resetConfirmBody = strict(
  { token: tokenText('The token in the link of the mail', RESET_TOKEN), new_password: newPassword },
  { examples: [{ token: RESET_TOKEN, new_password: 'a longer horse battery' }] },
)
/** The answer to an operator, who names a user. */
export const RESET_SENT = 'A mail with a link is on its way'

export const resetSent = strict({
  message: t.String({ description: 'What was done', examples: [RESET_SENT] }),
})
export const message = strict({
  message: t.String({ description: 'The same sentence for every address', examples: [RESET_ANSWER] }),
})
