import { errorOf, openApi, parsed } from './api.ts'
import { openFetch } from './fetch.ts'
import { openSessions } from './sessions.ts'
import { openWaysIn } from './sign-in.ts'
import { openStore } from './store.ts'
import type { Client, ClientOptions, User } from './types.ts'

/**
 * Creates a client of Ch202 for one user at a time. Clients with the same storage, in this tab or others, have the same
 * session.
 * @throws TypeError if `url` or one of `origins` is not an address
 * @example
 * const client = createClient({ url: 'https://id.example.org' })
 * const result = await client.signIn({ login: 'ana', password: 'correct horse battery' })
 * if (result.status === 'complete') console.log((await client.user())?.name)
 */
export function createClient({ origins = [], storage, url }: ClientOptions): Client {
  const api = openApi(url)
  const store = openStore(api.base, storage)
  const sessions = openSessions(api, store)
  const authorizedFetch = openFetch(api.base, origins, sessions)
  return {
    ...openWaysIn(api, store, sessions),
    signOut: sessions.end,
    signedIn: async () => (await sessions.read()) !== null,
    accessToken: async (refused) => (await sessions.valid(refused))?.access_token ?? null,
    fetch: authorizedFetch,
    async user() {
      if (!(await sessions.valid())) return null
      const response = await authorizedFetch(`${api.base}/api/v1/auth/me`)
      const body = parsed(await response.text())
      if (response.ok) return body as unknown as User
      if (await sessions.read()) throw errorOf({ status: response.status, headers: response.headers, body })
      return null
    },
    on: (_event, listener) => sessions.on(listener),
    close: sessions.close,
  }
}
