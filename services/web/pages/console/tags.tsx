/** @jsxRuntime automatic @jsxImportSource preact */

import type { UserRead } from '../../../kit/schema/user.ts'
import { useRequest } from '../../components/request-context.ts'

/** Tags for what differs from an active account with a password and a verified email. */
export function Tags({ user }: { user: UserRead }) {
  const { texts } = useRequest()
  const { disabled, noPassword } = texts.console.tags
  const tags = [
    user.status === 'disabled' && disabled,
    !user.email_verified && texts.account.unverified,
    !user.has_password && noPassword,
  ].filter((tag) => tag !== false)
  return (
    <>
      {tags.map((tag) => (
        <span key={tag} class={tag === disabled ? 'tag bad' : 'tag'}>
          {tag}
        </span>
      ))}
    </>
  )
}
