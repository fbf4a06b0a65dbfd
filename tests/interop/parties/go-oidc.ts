import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { untilServed } from '../../support/servers/served.ts'
import { execute, type Party } from './party.ts'

const FOLDER = join(import.meta.dir, '../go')

/** `coreos/go-oidc` with `golang.org/x/oauth2`. */
export const goOidc: Party = {
  name: 'go-oidc',
  // x/oauth2 refreshes a token ten seconds before it expires.
  settings: { JWT_EXPIRE: '11s' },
  async install(folder) {
    await execute(['go', 'build', '-o', join(folder, 'party'), './party'], FOLDER)
    return /go-oidc\/v3 v(\S+)/.exec(readFileSync(join(FOLDER, 'go.mod'), 'utf8'))?.[1] ?? 'unknown'
  },
  client: (origin) => ({
    redirect_uris: [`${origin}/callback`],
    post_logout_redirect_uris: [`${origin}/bye`],
    scopes: ['openid', 'profile', 'email', 'offline_access'],
  }),
  async run({ folder, origin, start, user, visit }) {
    await untilServed(start([join(folder, 'party')]), `${origin}/bye`)
    await visit.page.goto(origin)
    await visit.signIn()
    await visit.see(`Signed in as ${user.email}`)
    await visit.untilRefreshed(() => visit.page.goto(origin))
    await visit.see(`Signed in as ${user.email}`)
    await visit.page.goto(`${origin}/logout`)
    await visit.see('Signed out')
    await visit.isSignedOut()
  },
}
