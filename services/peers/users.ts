import type { UsersPeer as UsersOfAuth } from '../auth/peers.ts'
import type { UsersPeer as UsersOfModules } from '../modules/peers.ts'
import type { UsersApi } from '../users/index.ts'
import { type Answer, answerOf, clientOf, type Link, userOrNull, withRequestId } from './link.ts'

/** The calls of the other services to users. */
export type UsersClient = UsersOfAuth & UsersOfModules

/** Calls users. @param link the way to users */
export function usersClient(link: Link): UsersClient {
  const { users } = clientOf<UsersApi>(link)
  const ask = <T>(call: Promise<Answer<T>>) => answerOf(call, 'users_unavailable')
  const user: UsersClient['user'] = (user_id, requestId) =>
    userOrNull(ask(users({ user_id }).get(withRequestId(requestId))))
  return {
    user,
    roles: async (userId, requestId) => (await user(userId, requestId))?.roles ?? null,
    createUser: (input, requestId) => ask(users.post(input, withRequestId(requestId))),
    userByEmail: (email, requestId) =>
      userOrNull(ask(users['by-email']({ email: encodeURIComponent(email) }).get(withRequestId(requestId)))),
    async verifyCredentials(login, password, requestId) {
      const result = await ask(users['verify-credentials'].post({ login, password }, withRequestId(requestId)))
      return result.valid ? result.user : null
    },
    passwordRecord: (user_id, requestId) =>
      userOrNull(ask(users({ user_id })['password-hash'].get(withRequestId(requestId)))),
    passwordRecords: (after, requestId) =>
      ask(users['password-hashes'].get({ query: after === null ? {} : { after }, ...withRequestId(requestId) })),
    async proveAddress(user_id, proof, { actor, ip, requestId }) {
      const body = { ...proof, by: { actor, ip } }
      const result = await userOrNull(ask(users({ user_id }).proof.post(body, withRequestId(requestId))))
      if (result === null) return { outcome: 'user_not_found' }
      if (result.outcome === 'email_changed') return result
      return { outcome: 'proved', record: result.record, wasVerified: result.was_verified }
    },
    async inviteUser(input, { actor, ip, requestId }) {
      const body = { ...input, by: { actor, ip } }
      return (await ask(users.invited.post(body, withRequestId(requestId)))).user
    },
    async replaceHash(user_id, password_hash, if_version, requestId) {
      await ask(users({ user_id }).password.post({ password_hash, if_version }, withRequestId(requestId)))
    },
    async catchUp() {
      await ask(users.announcements.send.post({}))
    },
  }
}
