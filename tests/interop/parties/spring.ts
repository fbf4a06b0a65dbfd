import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { logIn } from '../../support/actors.ts'
import { eventually } from '../../support/eventually.ts'
import { as, call } from '../../support/http.ts'
import { createApp, tokensFor } from '../../support/oauth/code-flow.ts'
import { logoutRows } from '../../support/servers/logout-receiver.ts'
import { untilServed } from '../../support/servers/served.ts'
import { execute, type Party, type Surroundings } from './party.ts'

const FOLDER = join(import.meta.dir, '../spring')
const RESOURCE = 'https://orders.example.org'

/** Spring Security as an app and as a service, in Spring Boot. */
export const spring: Party = {
  name: 'spring',
  // Neither Spring nor Nimbus verifies Ed25519. Spring refreshes a token a minute before it expires.
  settings: { TOKEN_ALG: 'ES256', JWT_EXPIRE: '59s' },
  async install(folder) {
    const output = `-Dmdep.outputFile=${join(folder, 'classpath')}`
    await execute(['mvn', '-q', '-B', 'compile', 'dependency:build-classpath', output], FOLDER)
    const paths = readFileSync(join(folder, 'classpath'), 'utf8')
    return /spring-security-oauth2-client-([\d.]+)\.jar/.exec(paths)?.[1] ?? 'unknown'
  },
  client: (origin) => ({
    redirect_uris: [`${origin}/login/oauth2/code/ch202`],
    post_logout_redirect_uris: [`${origin}/bye`],
    backchannel_logout_uri: `${origin}/logout/connect/back-channel/ch202`,
    scopes: ['openid', 'profile', 'email', 'offline_access'],
  }),
  async run(surroundings) {
    const { env, folder, origin, port, start, system, user, visit } = surroundings
    const service = await createApp(system, { scopes: ['openid', 'orders:read'], resources: [RESOURCE] })
    const registration = 'spring.security.oauth2.client.registration.ch202'
    const classpath = `${join(FOLDER, 'target/classes')}:${readFileSync(join(folder, 'classpath'), 'utf8').trim()}`
    const app = start([
      'java',
      '-cp',
      classpath,
      'interop.App',
      '--server.address=127.0.0.1',
      `--server.port=${port}`,
      `--spring.security.oauth2.client.provider.ch202.issuer-uri=${env.ISSUER}`,
      `--${registration}.client-id=${env.CLIENT_ID}`,
      `--${registration}.client-secret=${env.CLIENT_SECRET}`,
      `--${registration}.scope=openid,profile,email,offline_access`,
      `--issuer=${env.ISSUER}`,
      `--resource=${RESOURCE}`,
      `--app=${service.id}`,
    ])
    await untilServed(app, `${origin}/bye`)
    await visit.page.goto(origin)
    await visit.signIn()
    await visit.see(`Signed in as ${user.email}`)
    await visit.untilRefreshed(() => visit.page.goto(`${origin}/refresh`))
    await visit.page.goto(`${origin}/logout`)
    await visit.press('Log Out')
    await visit.see('Signed out')
    await visit.isSignedOut()
    await checkService(surroundings, service)
    const { access_token } = (await logIn(system, user.email)).body
    await call(system.url.auth, 'POST /auth/logout-all', { headers: as.bearer(access_token) })
    await eventually(async () => (await logoutRows(system, user.id)).length > 0)
    const [row] = await logoutRows(system, user.id)
    if (row?.type !== 'client.logout_acknowledged') throw new Error(`The back channel: ${JSON.stringify(row)}`)
  },
}

/** Sends tokens to the part of the app that is a service. */
async function checkService({ origin, system, user }: Surroundings, service: Awaited<ReturnType<typeof createApp>>) {
  const { access_token: ofUser } = (await logIn(system, user.email)).body
  const grant = (scope: string, resource?: string) => tokensFor(system, ofUser, service, { scope, resource })
  const cases = [
    ['for the service', (await grant('openid orders:read', RESOURCE)).access_token, 200],
    ['without the scope', (await grant('openid', RESOURCE)).access_token, 403],
    ['for the app itself', (await grant('openid orders:read')).access_token, 401],
    ['an ID token', (await grant('openid orders:read', RESOURCE)).id_token, 401],
    ['of Ch202 itself', ofUser, 401],
  ] as const
  for (const [what, token, expected] of cases) {
    const { status, text } = await call(origin, 'GET /orders', { headers: as.bearer(token) })
    if (status !== expected) throw new Error(`A token ${what}: ${status} ${text}`)
  }
}
