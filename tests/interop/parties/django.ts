import { join } from 'node:path'
import { untilServed } from '../../support/servers/served.ts'
import { execute, type Party } from './party.ts'

const VERSION = '5.0.2'
const PROGRAM = join(import.meta.dir, '../django/app.py')

/** `mozilla-django-oidc`. */
export const django: Party = {
  name: 'mozilla-django-oidc',
  async install(folder) {
    await execute(['python3', '-m', 'venv', 'venv'], folder)
    const packages = [`mozilla-django-oidc==${VERSION}`, 'Django<6']
    await execute(['venv/bin/pip', 'install', '--quiet', ...packages], folder)
    return VERSION
  },
  client: (origin) => ({
    // The slash at the end is a part of the address.
    redirect_uris: [`${origin}/oidc/callback/`],
    post_logout_redirect_uris: [`${origin}/bye`],
    scopes: ['openid', 'email'],
    token_auth_method: 'client_secret_post',
  }),
  async run({ folder, origin, port, start, user, visit }) {
    const python = join(folder, 'venv/bin/python')
    const env = { DATABASE: join(folder, 'db.sqlite') }
    const { status, stderr } = await start([python, PROGRAM, 'migrate'], { env }).ended
    if (status !== 0) throw new Error(stderr)
    const app = start([python, PROGRAM, 'runserver', '--noreload', `127.0.0.1:${port}`], { env })
    await untilServed(app, `${origin}/bye`)
    await visit.page.goto(origin)
    await visit.signIn()
    await visit.see(`Signed in as ${user.email}`)
    await visit.page.goto(`${origin}/oidc/logout/`)
    await visit.see('Signed out')
    await visit.isSignedOut()
  },
}
