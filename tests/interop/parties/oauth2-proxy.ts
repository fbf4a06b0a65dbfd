import { join } from 'node:path'
import { untilServed } from '../../support/servers/served.ts'
import { execute, type Party } from './party.ts'

const VERSION = '7.15.6'

/** `oauth2-proxy`, before a server that shows the header which it gets. */
export const oauth2Proxy: Party = {
  name: 'oauth2-proxy',
  async install(folder) {
    const module = `github.com/oauth2-proxy/oauth2-proxy/v7@v${VERSION}`
    await execute(['go', 'install', module], folder, { GOBIN: folder })
    return VERSION
  },
  client: (origin) => ({
    redirect_uris: [`${origin}/oauth2/callback`],
    post_logout_redirect_uris: [`${origin}/ping`],
    scopes: ['openid', 'profile', 'email', 'offline_access'],
  }),
  async run({ client, env, folder, origin, port, start, system, user, visit }) {
    const upstream = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: ({ headers }) => new Response(`Signed in as ${headers.get('x-forwarded-email')}`),
    })
    try {
      const proxy = start([
        join(folder, 'oauth2-proxy'),
        '--provider=oidc',
        `--oidc-issuer-url=${env.ISSUER}`,
        `--client-id=${env.CLIENT_ID}`,
        `--client-secret=${env.CLIENT_SECRET}`,
        '--code-challenge-method=S256',
        '--scope=openid profile email offline_access',
        '--cookie-refresh=1s',
        `--redirect-url=${origin}/oauth2/callback`,
        `--cookie-secret=${'0123456789abcdef'.repeat(2)}`,
        // Plain http, for this machine alone.
        '--cookie-secure=false',
        '--email-domain=*',
        '--skip-provider-button',
        `--whitelist-domain=${new URL(system.url.web).host}`,
        `--http-address=127.0.0.1:${port}`,
        `--upstream=${upstream.url.origin}`,
      ])
      await untilServed(proxy, `${origin}/ping`)
      await visit.page.goto(origin)
      await visit.signIn()
      await visit.see(`Signed in as ${user.email}`)
      await visit.untilRefreshed(() => visit.page.goto(origin))
      await visit.see(`Signed in as ${user.email}`)
      const parameters = { client_id: client.id, post_logout_redirect_uri: `${origin}/ping` }
      const logout = `${system.url.web}/oauth/logout?${new URLSearchParams(parameters)}`
      await visit.page.goto(`${origin}/oauth2/sign_out?${new URLSearchParams({ rd: logout })}`)
      await visit.press('Sign out')
      await visit.see('OK')
      await visit.isSignedOut()
    } finally {
      await upstream.stop(true)
    }
  },
}
