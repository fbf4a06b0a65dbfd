import { join } from 'node:path'
import { as, call } from '../../support/http.ts'
import { untilServed } from '../../support/servers/served.ts'
import { execute, type Party } from './party.ts'

const VERSION = '0.36.8'
const OPERATOR = { email: 'operator@example.org', password: 'correct horse battery' }

/** PocketBase with its provider `oidc`, for an app of its own at another address. */
export const pocketBase: Party = {
  name: 'pocketbase',
  async install(folder) {
    const module = `github.com/pocketbase/pocketbase/examples/base@v${VERSION}`
    await execute(['go', 'install', module], folder, { GOBIN: folder })
    return VERSION
  },
  client: (origin) => ({ redirect_uris: [`${origin}/callback`], scopes: ['openid', 'email', 'profile'] }),
  async run({ client, env, folder, origin, port, start, system, user, visit }) {
    const app = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response('The app') })
    // Only the port of an address on this machine may differ from that of the client.
    const callback = `http://localhost:${app.port}/callback`
    const program = join(folder, 'base')
    const directory = `--dir=${join(folder, 'data')}`
    try {
      const { status, stderr } = await start([
        program,
        'superuser',
        'upsert',
        OPERATOR.email,
        OPERATOR.password,
        directory,
      ]).ended
      if (status !== 0) throw new Error(stderr)
      await untilServed(start([program, 'serve', `--http=127.0.0.1:${port}`, directory]), `${origin}/api/health`)
      const provider = {
        name: 'oidc',
        displayName: 'Ch202',
        clientId: client.id,
        clientSecret: client.client_secret,
        authURL: `${system.url.web}/oauth/authorize`,
        tokenURL: `${env.ISSUER}/oauth/token`,
        userInfoURL: `${env.ISSUER}/oauth/userinfo`,
        pkce: true,
      }
      const { token } = await answerOf(origin, 'POST /api/collections/_superusers/auth-with-password', {
        identity: OPERATOR.email,
        password: OPERATOR.password,
      })
      await answerOf(
        origin,
        'PATCH /api/collections/users',
        { oauth2: { enabled: true, providers: [provider] } },
        as.bearer(token),
      )
      const { oauth2 } = await answerOf(origin, 'GET /api/collections/users/auth-methods')
      const [{ authURL, codeVerifier, state }] = oauth2.providers
      await visit.page.goto(authURL + encodeURIComponent(callback))
      await visit.signIn()
      await visit.see('The app')
      const answer = new URL(visit.page.url()).searchParams
      if (answer.get('state') !== state) throw new Error(`The state differs: ${answer}`)
      const { record } = await answerOf(origin, 'POST /api/collections/users/auth-with-oauth2', {
        provider: 'oidc',
        code: answer.get('code'),
        codeVerifier,
        redirectURL: callback,
      })
      if (record.email !== user.email || record.verified !== true) throw new Error(JSON.stringify(record))
    } finally {
      await app.stop(true)
    }
  },
}

/** @throws Error if it is refused */
async function answerOf(origin: string, request: string, body?: unknown, headers: Record<string, string> = {}) {
  const answer = await call(origin, request, { headers, ...(body === undefined ? {} : { body }) })
  if (answer.status >= 300) throw new Error(`${request}: ${answer.status} ${answer.text}`)
  return answer.body
}
