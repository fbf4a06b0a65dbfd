import type { Caller } from '../../kit/caller.ts'
import { type CurrentUserContext, currentUser } from '../accounts/current-user.ts'
import type { UserInfo } from '../schemas/oauth.ts'

/**
 * Returns the claims about the user of an app's token that its scopes allow (OpenID Connect Core, 5.3 and 5.4).
 * @throws Problem as `currentUser`
 */
export async function userInfoOf(context: CurrentUserContext, caller: Caller): Promise<UserInfo> {
  const scopes = caller.app?.scopes ?? []
  const { user } = await currentUser(context, caller)
  const { email, email_verified, id: sub, locale, metadata, name, roles, updated_at, username } = user
  return {
    sub,
    ...(scopes.includes('profile')
      ? {
          // A claim that the user has not set is absent, never null (OpenID Connect Core, 5.3.2).
          ...(name === null ? {} : { name }),
          ...(username === null ? {} : { preferred_username: username }),
          ...(locale === null ? {} : { locale }),
          updated_at: Math.floor(Date.parse(updated_at) / 1000),
        }
      : {}),
    ...(scopes.includes('email') ? { email, email_verified } : {}),
    ...(scopes.includes('roles') ? { roles } : {}),
    ...(scopes.includes('metadata') ? { metadata } : {}),
  }
}
