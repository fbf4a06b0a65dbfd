import { logIn, PASSWORD, type TestUser } from '../support/actors.ts'
import { as, call, clientOf } from '../support/http.ts'
import { mailedToken } from '../support/mails.ts'
import type { Name } from '../support/settings.ts'
import type { Cluster } from './cluster.ts'

const NEXT_PASSWORD = 'quite another phrase'

/** Gives the address of a node of a service: a request goes to one node, not by way of the balancer. */
export type NodeUrl = (service: Name) => string
/**
 * Ends a token. @returns the status, with that of a success for one that promises the end; and when the request was sent, if
 * others came before
 */
export type End = (user: TestUser, url: NodeUrl) => Promise<{ status: number; text: string; sentAt?: number }>

/** Every way in which an access token ends before it expires. */
export function endsOf(system: Cluster): Record<string, End> {
  const send = (url: NodeUrl, service: Name, request: string, headers: Record<string, string>, body?: object) =>
    call(url(service), request.replace(' ', ' /api/v1'), { headers, ...(body ? { body } : {}) })
  const byUser =
    (service: Name, request: (user: TestUser) => string): End =>
    (user, url) =>
      send(url, service, request(user), as.bearer(user.tokens.access_token))
  const byOperator =
    (service: Name, request: (user: TestUser) => string, body?: object): End =>
    (user, url) =>
      send(url, service, request(user), as.operator, body)
  const refresh = (url: NodeUrl, refresh_token: string) =>
    send(url, 'auth', 'POST /auth/refresh', {}, { refresh_token })

  return {
    'a logout': byUser('auth', () => 'POST /auth/logout'),
    'a logout everywhere': byUser('auth', () => 'POST /auth/logout-all'),
    'a session deleted by its user': byUser('auth', ({ tokens }) => `DELETE /auth/sessions/${tokens.session_id}`),
    'a session ended by an operator': byOperator('auth', ({ tokens }) => `DELETE /auth/sessions/${tokens.session_id}`),
    'all sessions of a user, by an operator': byOperator('auth', ({ id }) => `DELETE /auth/sessions?user_id=${id}`),
    'a refresh token revoked': ({ tokens }, url) =>
      send(url, 'auth', 'POST /auth/revoke', {}, { token: tokens.refresh_token }),
    async 'a refresh token used again'({ tokens }, url) {
      const second = await refresh(url, tokens.refresh_token)
      if (second.status !== 200) return second
      const third = await refresh(url, second.body.refresh_token)
      if (third.status !== 200) return third
      const sentAt = performance.now()
      const reused = await refresh(url, tokens.refresh_token)
      return { sentAt, ...reused, ...(reused.body.code === 'refresh_token_reused' ? { status: 204 } : {}) }
    },
    'a password set by an operator': byOperator('users', ({ id }) => `POST /users/${id}/set-password`, {
      new_password: NEXT_PASSWORD,
    }),
    async 'a password reset by mail'(user, url) {
      const token = await mailedToken(
        clientOf(() => url('auth')),
        system,
        user.email,
      )
      const body = { token, new_password: NEXT_PASSWORD }
      const sentAt = performance.now()
      return { sentAt, ...(await send(url, 'auth', 'POST /auth/password-reset-confirm', {}, body)) }
    },
    'a user disabled': byOperator('users', ({ id }) => `PATCH /users/${id}`, { status: 'disabled' }),
    'roles changed': byOperator('users', ({ id }) => `PATCH /users/${id}`, { roles: ['USER', 'SALES'] }),
    'a user deleted': byOperator('users', ({ id }) => `DELETE /users/${id}`),
    async 'a password changed in another session'(user, url) {
      const other = await logIn({ url: { auth: url('auth') } }, user.email)
      if (other.status !== 200) return other
      const body = { current_password: PASSWORD, new_password: NEXT_PASSWORD }
      const headers = as.bearer(other.body.access_token)
      const sentAt = performance.now()
      return { sentAt, ...(await send(url, 'users', `POST /users/${user.id}/change-password`, headers, body)) }
    },
  }
}
