import { afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Glob } from 'bun'
import { registerUser, type TestUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { logoutRows } from '../support/servers/logout-receiver.ts'
import { freePort } from '../support/servers/ports.ts'
import { untilServed } from '../support/servers/served.ts'
import { addressSettings, OPERATOR_KEY } from '../support/settings.ts'
import { openShell } from '../support/shell.ts'
import { launch, ROOT } from '../support/tool.ts'
import { type Person, pagesInBrowser } from '../web/pages.ts'
import { endOf, startApache } from './apache.ts'
import { PYTHON, requirePackages } from './packages.ts'
import { commandOf, EXCERPTS, FILES, HEADINGS, writeRecipes } from './recipes.ts'

const INTEROP = join(ROOT, 'tests/interop')
/** The addresses of apps in the recipes. */
const EXAMPLES = ['http://localhost:4000', 'https://wiki.example.org']

/** Apps that are programs of the page. */
const APPS: { heading: string; command: string[]; packages: string[] }[] = [
  { heading: 'openid-client', command: ['node', 'openid-client.mjs'], packages: [] },
  { heading: 'oauth4webapi', command: ['node', 'oauth4webapi.mjs'], packages: [] },
  {
    heading: 'Authlib in Flask',
    command: [PYTHON, 'flask_app.py'],
    packages: ['python3-authlib', 'python3-flask', 'python3-requests'],
  },
]

const APACHE_PACKAGES = ['apache2-bin', 'libapache2-mod-auth-openidc']

describe('16: with the recipe for', () => {
  const here = pagesInBrowser({ RATE_LIMIT: 'off', OAUTH_PRIVATE_HOSTS: 'localhost' })
  const ends: (() => unknown)[] = []
  beforeAll(() => requirePackages([...APPS.flatMap(({ packages }) => packages), ...APACHE_PACKAGES]))
  afterEach(async () => {
    for (const end of ends.splice(0)) await end()
  })

  /** Runs a line in a shell of the operator. @returns its output @throws Error if it fails */
  async function runLine(line: string): Promise<string> {
    const env = { ...addressSettings((name) => here.system.url[name]), OPERATOR_API_KEY: OPERATOR_KEY }
    const shell = openShell('recipe', env)
    ends.push(shell.close)
    const { status, stderr, stdout } = await shell.run(line)
    if (status !== 0) throw new Error(`${line} failed:\n${stderr}`)
    return stdout
  }

  /** Runs the command of a recipe for an app at this address. @returns the environment of the app */
  async function registerApp(heading: string, origin: string): Promise<Record<string, string>> {
    const command = EXAMPLES.reduce((text, example) => text.replaceAll(example, origin), commandOf(heading))
    const { client_secret, id } = JSON.parse(await runLine(`${command} -o json`))
    return { ISSUER: here.system.url.auth, CLIENT_ID: id, CLIENT_SECRET: client_secret, APP_URL: origin }
  }

  /** Opens an app, which sends the person to the sign-in, and returns signed in. */
  async function signIn(person: Person, app: string, user: TestUser, { isFirst }: { isFirst: boolean }) {
    await person.open(app)
    expect(person.at).toStartWith('/sign-in?')
    await person.signIn(user.email)
    if (isFirst) await person.press(person.texts.consent.allow)
    await person.page.waitForURL(`${app}/`)
    await person.see(`Signed in as ${user.email}`)
  }

  /** Follows the link of an app that signs out everywhere. */
  async function signOut(person: Person, app: string, link: string): Promise<void> {
    await person.page.goto(`${app}${link}`)
    await person.page.waitForURL(`${app}/bye**`)
    await person.see('Signed out')
    await person.open('/account')
    expect(person.at).toBe('/sign-in')
  }

  /** When the only app of a user last got tokens. */
  async function lastUse({ tokens }: TestUser): Promise<string> {
    const { body } = await call(here.system.url.auth, 'GET /auth/grants', { headers: as.bearer(tokens.access_token) })
    expect(body.items).toHaveLength(1)
    return body.items[0].last_used_at
  }

  test.each(APPS)('$heading, a person signs in, refreshes and signs out', async ({ command, heading }) => {
    const origin = `http://localhost:${freePort()}`
    const recipes = writeRecipes(join(ROOT, 'tests'))
    ends.push(recipes.remove)
    const app = launch(command, { cwd: recipes.path, env: await registerApp(heading, origin) })
    ends.push(() => endOf(app))
    await untilServed(app, `${origin}/bye`)
    const user = await registerUser(here.system)
    const ana = await here.person()
    await signIn(ana, origin, user, { isFirst: true })
    const before = await lastUse(user)
    await ana.open(`${origin}/refresh`)
    await ana.see(`Signed in as ${user.email}`)
    expect(await lastUse(user)).not.toBe(before)
    await signOut(ana, origin, '/logout')
    await signIn(ana, origin, user, { isFirst: false })
  })

  test('Apache, a person signs in and out, and is signed out when the session ends elsewhere', async () => {
    const port = freePort()
    const origin = `http://localhost:${port}`
    const env = { ...(await registerApp('Apache', origin)), CRYPTO_PASSPHRASE: 'a passphrase of the tests' }
    const apache = startApache(port, FILES['ch202.conf'] ?? '', env)
    ends.push(apache.stop)
    await untilServed(apache.process, `${origin}/bye/`)
    const user = await registerUser(here.system)
    const ana = await here.person()
    await signIn(ana, origin, user, { isFirst: true })
    await signOut(ana, origin, `/callback?logout=${encodeURIComponent(`${origin}/bye`)}`)

    await signIn(ana, origin, user, { isFirst: false })
    const { status } = await call(here.system.url.auth, 'POST /auth/logout-all', {
      headers: as.bearer(user.tokens.access_token),
    })
    expect(status).toBe(200)
    await eventually(async () => {
      await ana.open(origin)
      return ana.at.startsWith('/sign-in')
    })
    const types = (await logoutRows(here.system, user.id)).map(({ type }) => type)
    expect(types).toEqual(['client.logout_acknowledged', 'client.logout_acknowledged'])
    expect(apache.errors()).toEqual([])
  })

  test('what `bun run interop` runs, the command creates the client', async () => {
    const others = HEADINGS.filter((heading) => ![...APPS.map((app) => app.heading), 'Apache'].includes(heading))
    expect(others).toContain('MCP clients')
    await runLine(others.map(commandOf).join(' && '))
  })
})

test('16: every file of the recipes is executed', () => {
  const executed = [...APPS.map(({ command }) => command.at(-1) ?? ''), 'server.mjs', 'ch202.conf']
  expect(Object.keys(FILES).toSorted()).toEqual(executed.toSorted())
})

test('16: all other lines of code are those of the programs that `bun run interop` runs', () => {
  const paths = [...new Glob('{go,spring,django,mcp,parties}/**/*.{go,java,py,mjs,ts}').scanSync(INTEROP)]
  const programs = paths.map((path) => readFileSync(join(INTEROP, path), 'utf8'))
  expect(EXCERPTS.length).toBeGreaterThan(8)
  expect(EXCERPTS.filter((text) => !programs.some((program) => program.includes(text)))).toEqual([])
})

test('16: a program that is missing fails the tests, which name its package', () => {
  expect(() => requirePackages(['python3-flask', 'apache2-bin'], (name) => name === 'apache2-bin')).toThrow(
    'apt-get install python3-flask',
  )
})
