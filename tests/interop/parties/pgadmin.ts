import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { untilServed } from '../../support/servers/served.ts'
import { execute, type Party } from './party.ts'

const VERSION = '9.18'
const SITE = 'venv/lib/pgadmin4'

/** The settings of pgAdmin. */
const configuration = (data: string, port: number) => `import os

ISSUER = os.environ["ISSUER"]
SERVER_MODE = True
DATA_DIR = ${JSON.stringify(data)}
LOG_FILE = os.path.join(DATA_DIR, "pgadmin4.log")
DEFAULT_SERVER = "127.0.0.1"
DEFAULT_SERVER_PORT = ${port}
MASTER_PASSWORD_REQUIRED = False
UPGRADE_CHECK_ENABLED = False
AUTHENTICATION_SOURCES = ["oauth2", "internal"]
OAUTH2_AUTO_CREATE_USER = True
OAUTH2_CONFIG = [
    {
        "OAUTH2_NAME": "ch202",
        "OAUTH2_DISPLAY_NAME": "Ch202",
        "OAUTH2_CLIENT_ID": os.environ["CLIENT_ID"],
        "OAUTH2_CLIENT_SECRET": os.environ["CLIENT_SECRET"],
        "OAUTH2_SERVER_METADATA_URL": ISSUER + "/.well-known/openid-configuration",
        "OAUTH2_AUTHORIZATION_URL": ISSUER + "/oauth/authorize",
        "OAUTH2_TOKEN_URL": ISSUER + "/oauth/token",
        "OAUTH2_API_BASE_URL": ISSUER + "/",
        "OAUTH2_USERINFO_ENDPOINT": ISSUER + "/oauth/userinfo",
        "OAUTH2_SCOPE": "openid email profile",
        "OAUTH2_CHALLENGE_METHOD": "S256",
        "OAUTH2_RESPONSE_TYPE": "code",
        "OAUTH2_ICON": "fa-key",
        "OAUTH2_BUTTON_COLOR": "#2f5d8a",
    }
]
`

/** pgAdmin 4. */
export const pgAdmin: Party = {
  name: 'pgadmin',
  async install(folder) {
    await execute(['python3', '-m', 'venv', 'venv'], folder)
    await execute(['venv/bin/pip', 'install', '--quiet', `pgadmin4==${VERSION}`], folder)
    const code = 'import importlib.util; print(importlib.util.find_spec("pgadmin4").submodule_search_locations[0])'
    const site = await execute(['venv/bin/python', '-c', code], folder)
    await execute(['ln', '-s', site, join(folder, SITE)], folder)
    return VERSION
  },
  client: (origin) => ({
    redirect_uris: [`${origin}/oauth2/authorize`],
    scopes: ['openid', 'email', 'profile'],
  }),
  async run({ folder, origin, port, start, user, visit }) {
    const python = join(folder, 'venv/bin/python')
    const site = join(folder, SITE)
    const env = {
      HOME: folder,
      PGADMIN_SETUP_EMAIL: 'operator@example.org',
      PGADMIN_SETUP_PASSWORD: 'correct horse battery',
    }
    writeFileSync(join(site, 'config_local.py'), configuration(join(folder, 'data'), port))
    const { status, stderr, stdout } = await start([python, 'setup.py', 'setup-db'], { env, cwd: site }).ended
    if (status !== 0) throw new Error(stdout + stderr)
    await untilServed(start([python, 'pgAdmin4.py'], { env, cwd: site }), `${origin}/login`)
    await visit.page.goto(`${origin}/login`)
    await visit.page.getByRole('button', { name: /Ch202/ }).click()
    await visit.signIn()
    await visit.page.waitForURL(`${origin}/browser/**`)
    await visit.see(`${user.id} (ch202)`)
  },
}
