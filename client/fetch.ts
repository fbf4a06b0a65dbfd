import { parsed } from './api.ts'
import type { Sessions } from './sessions.ts'
import type { Client } from './types.ts'

/** Codes of answers that refuse the access token itself. Others, such as `invalid_credentials`, are for the caller. */
const REFUSED = ['invalid_token', 'token_expired', 'token_revoked']

/**
 * The global `fetch` with the access token of the session.
 * @param base the address of Ch202
 * @param origins further origins that may have the token
 */
export function openFetch(base: string, origins: readonly string[], sessions: Sessions): Client['fetch'] {
  const trusted = new Set([base, ...origins].map((url) => new URL(url).origin))
  return async (input, init) => {
    const request = input instanceof Request ? input : undefined
    const url = request ? request.url : new URL(input as string | URL, `${base}/`).toString()
    const headers = new Headers(init?.headers ?? request?.headers)
    const session = trusted.has(new URL(url).origin) && !headers.has('authorization') ? await sessions.valid() : null
    if (!session) return await fetch(request ?? url, init)

    const send = (target: Request | string, token: string) => {
      headers.set('authorization', `Bearer ${token}`)
      return fetch(target, { ...init, headers })
    }
    // A request gives its body only once, so a copy is sent first.
    const response = await send((request?.clone() as Request | undefined) ?? url, session.access_token)
    if (response.status !== 401 || isStream(init?.body) || !(await refusesToken(response))) return response
    const next = await sessions.valid(session.access_token)
    // The session has ended: the answer says so.
    if (!next) return response
    await response.body?.cancel()
    return await send(request ?? url, next.access_token)
  }
}

/** Whether a body can be read only once. */
function isStream(body: unknown): boolean {
  return typeof body === 'object' && body !== null && ('getReader' in body || Symbol.asyncIterator in body)
}

/** Whether a 401 is about the token. A service that says no reason may mean it. */
async function refusesToken(response: Response): Promise<boolean> {
  if (/\binvalid_token\b/.test(response.headers.get('www-authenticate') ?? '')) return true
  const { code } = parsed(await response.clone().text())
  return typeof code !== 'string' || REFUSED.includes(code)
}
