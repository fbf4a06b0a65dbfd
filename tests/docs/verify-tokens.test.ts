import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import { TOKEN_ALGS, type TokenAlg } from '../../services/kit/tokens/algorithms.ts'
import { createUser, logIn, newEmail, registerUser, type TestUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { grantToken } from '../support/oauth/grant-tokens.ts'
import { freePort } from '../support/servers/ports.ts'
import { inProcess, type System } from '../support/system.ts'
import { ROOT } from '../support/tool.ts'
import { Verifier } from '../verifiers/program.ts'

setDefaultTimeout(120_000)

const page = readFileSync(join(ROOT, 'docs/integrate/verify-tokens.md'), 'utf8')
const blocks = [...page.matchAll(/^```(?:js|python)\n(?:\/\/|#) (\S+)\n([\s\S]*?)^```$/gm)]

/** Debian's packages belong to Debian's Python, whichever Python is first in the PATH. */
const PYTHON = process.env.PYTHON ?? '/usr/bin/python3'
const RESOURCE = 'https://orders.example.org'

/** The programs of the page that verify tokens by themselves, and the algorithms that the page names for each. */
const PROGRAMS: Record<string, readonly TokenAlg[]> = {
  'verify-jose.mjs': TOKEN_ALGS,
  'verify-jsonwebtoken.mjs': ['ES256', 'RS256'],
  'verify_pyjwt.py': TOKEN_ALGS,
  'verify_authlib.py': TOKEN_ALGS,
}

/** Read a token a line, and answer each. */
const DRIVERS = {
  'check.mjs': `import { createInterface } from 'node:readline'
const { verify } = await import(process.argv[2])
for await (const token of createInterface({ input: process.stdin })) {
  try {
    console.log(\`ok \${(await verify(token)).sub}\`)
  } catch (error) {
    console.log(\`refused \${error}\`.replaceAll('\\n', ' '))
  }
}
`,
  'check.py': `import importlib, sys
verify = importlib.import_module(sys.argv[1]).verify
for line in sys.stdin:
    try:
        print("ok", verify(line.strip())["sub"], flush=True)
    except Exception as error:
        print("refused", repr(error).replace("\\n", " "), flush=True)
`,
}

// A directory inside the project, so that imports find its packages.
const directory = mkdtempSync(join(import.meta.dir, '../.generated-'))
for (const [name, text] of [...Object.entries(DRIVERS), ...blocks.map(([, name = '', text = '']) => [name, text])])
  writeFileSync(join(directory, name ?? ''), text ?? '')
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const programs: Verifier[] = []
afterAll(() => Promise.all(programs.map((program) => program.stop())))

/** Starts a program of the page. */
function start(name: string, env: Record<string, string>): Verifier {
  const command = name.endsWith('.mjs')
    ? ['node', join(directory, 'check.mjs'), `./${name}`]
    : [PYTHON, join(directory, 'check.py'), name.replace('.py', '')]
  const program = new Verifier(name, command, env)
  programs.push(program)
  return program
}

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

interface Machine {
  id: string
  secret: string
}

async function newClient(system: System, scopes: string[], resources: string[] = []): Promise<Machine> {
  const body = { name: newEmail(), scopes, resources }
  const answer = await call(system.url.auth, 'POST /api/v1/admin/clients', { headers: as.operator, body })
  expect(answer.status).toBe(201)
  return { id: answer.body.id, secret: answer.body.client_secret }
}

/** A token that a client gets for itself. */
async function tokenOf(
  system: System,
  { id, secret }: Machine,
  parameters: Record<string, string> = {},
): Promise<string> {
  const authorization = `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`
  const body = new URLSearchParams({ grant_type: 'client_credentials', ...parameters }).toString()
  const answer = await call(system.url.auth, 'POST /oauth/token', { headers: { ...FORM, authorization }, body })
  expect(answer.status).toBe(200)
  return answer.body.access_token
}

test('S9: the page names every claim of a token', async () => {
  const system = await inProcess()
  try {
    const client = await newClient(system, ['orders:read'], [RESOURCE])
    const ofUser = decodeJwt((await registerUser(system)).tokens.access_token)
    const ofClient = decodeJwt(await tokenOf(system, client, { resource: RESOURCE }))
    const [, table = ''] = page.split(/^\| Claim .*$/m)
    const rows = table.split('\n\n')[0]?.split('\n').slice(2) ?? []
    const listed = (column: number) =>
      rows
        .map((row) => row.split('|').map((text) => text.trim()))
        .filter((cells) => cells[column] !== '')
        .flatMap((cells) => [...(cells[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name = '']) => name))
    expect(listed(2).toSorted()).toEqual(Object.keys(ofUser).toSorted())
    expect(listed(3).toSorted()).toEqual(Object.keys(ofClient).toSorted())
  } finally {
    await system.stop()
  }
})

describe.each([...TOKEN_ALGS])('S9: with TOKEN_ALG=%s', (alg) => {
  let system: System
  let user: TestUser
  let client: Machine
  beforeAll(async () => {
    system = await inProcess({ TOKEN_ALG: alg })
    user = await registerUser(system)
    client = await newClient(system, ['orders:read'], [RESOURCE])
  })
  afterAll(() => system.stop())

  const names = Object.keys(PROGRAMS).filter((name) => PROGRAMS[name]?.includes(alg))
  test.each(names)('%s accepts a token of a user, and no other', async (name) => {
    const program = start(name, { AUTH_URL: system.url.auth, TOKEN_ALG: alg })
    const token = user.tokens.access_token
    const [head, payload, signature = ''] = token.split('.')
    const other = (await registerUser(system)).tokens.access_token.split('.')
    expect(await program.check(token)).toBe(user.id)
    for (const refused of [
      `${head}.${other[1]}.${signature}`,
      `${head}.${payload}.${other[2]}`,
      `${head}.${payload}.`,
      `${head}.${payload}.${signature.slice(0, -8)}AAAAAAAA`,
      user.tokens.refresh_token,
      await tokenOf(system, client),
      await tokenOf(system, client, { resource: RESOURCE }),
      'x',
      '',
    ])
      expect([refused, await program.check(refused)]).toEqual([refused, undefined])
    expect(await program.check(token)).toBe(user.id)
  })

  test.each(names)('%s accepts a token of a client that it knows, for its own address alone', async (name) => {
    const env = { AUTH_URL: system.url.auth, TOKEN_ALG: alg, AUDIENCE: RESOURCE, CLIENTS: `ch202,${client.id}` }
    const program = start(name, env)
    const unlisted = await newClient(system, ['orders:read'], [RESOURCE])
    expect(await program.check(await tokenOf(system, client, { resource: RESOURCE }))).toBe(client.id)
    for (const refused of [
      await tokenOf(system, client),
      await tokenOf(system, unlisted, { resource: RESOURCE }),
      user.tokens.access_token,
    ])
      expect([refused, await program.check(refused)]).toEqual([refused, undefined])
  })
})

test('S9: the page names the algorithms that each library knows', () => {
  const cells = (name: string) => new RegExp(`^\\| ${name}.*?\\|(.*)\\|$`, 'm').exec(page)?.[1]?.split('|')
  const LIBRARIES = {
    '`jose`': 'verify-jose.mjs',
    '`jsonwebtoken`': 'verify-jsonwebtoken.mjs',
    PyJWT: 'verify_pyjwt.py',
    Authlib: 'verify_authlib.py',
  }
  for (const [library, name] of Object.entries(LIBRARIES)) {
    const algorithms = cells(library)?.map((cell) => cell.trim() === 'yes')
    expect([library, algorithms]).toEqual([
      library,
      ['EdDSA', 'ES256', 'RS256'].map((alg) => PROGRAMS[name]?.includes(alg as TokenAlg) ?? false),
    ])
  }
})

test.each([
  ['go', 'go/main.go'],
  ['java', 'java/src/main/java/interop/Main.java'],
  ['rust', 'rust/src/main.rs'],
])('S9: the lines in %s are those of the program that `bun run interop` runs', (language, file) => {
  const program = readFileSync(join(ROOT, 'tests/interop', file), 'utf8')
  const lines = [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, text = '']) => text,
  )
  expect(lines.length).toBeGreaterThan(1)
  for (const text of lines) expect(program).toContain(text.trimEnd())
})

/** Tokens of an issuer of the test, whose key the programs know, each wrong in one thing. */
describe('S9: a token that is signed with a known key and wrong in one thing', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { privateKey: foreign } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'ES256', use: 'sig' }
  const pem = publicKey.export({ format: 'pem', type: 'spki' })
  const issuer = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => Response.json({ keys: [jwk] }) })
  afterAll(() => issuer.stop(true))
  const url = issuer.url.origin

  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const now = () => Math.floor(Date.now() / 1000)
  function token(header: object = {}, claims: object = {}, signer: (input: string) => Buffer = signed()): string {
    const head = { alg: 'ES256', typ: 'at+jwt', kid: 'k', ...header }
    const body = { iss: url, aud: 'ch202', sub: 'u', client_id: 'ch202', exp: now() + 3600, iat: now(), ...claims }
    const input = `${encode(head)}.${encode(body)}`
    return `${input}.${signer(input).toString('base64url')}`
  }
  const signed =
    (key = privateKey) =>
    (input: string) =>
      sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' })

  const ROWS: [what: string, token: () => string][] = [
    ['another issuer', () => token({}, { iss: 'https://evil.example' })],
    ['no issuer', () => token({}, { iss: undefined })],
    ['another audience', () => token({}, { aud: 'other' })],
    ['no audience', () => token({}, { aud: undefined })],
    ['an ID token', () => token({ typ: 'JWT' })],
    ['no type', () => token({ typ: undefined })],
    ['an expired token', () => token({}, { exp: now() - 3600 })],
    ['a token that never expires', () => token({}, { exp: undefined })],
    ['another client', () => token({}, { client_id: 'other' })],
    ['no client', () => token({}, { client_id: undefined })],
    ['no subject', () => token({}, { sub: undefined })],
    ['no signature, by alg none', () => token({ alg: 'none' }, {}, () => Buffer.alloc(0))],
    [
      'HS256 with the public key as the secret',
      () => token({ alg: 'HS256' }, {}, (input) => createHmac('sha256', pem).update(input).digest()),
    ],
    ['another key', () => token({}, {}, signed(foreign))],
    ['an unknown key id', () => token({ kid: 'other' }, {}, signed(foreign))],
    ['its own key in the header', () => token({ jwk: foreign.export({ format: 'jwk' }) }, {}, signed(foreign))],
  ]
  test.each(Object.keys(PROGRAMS))('is refused by %s', async (name) => {
    const program = start(name, { AUTH_URL: url, TOKEN_ALG: 'ES256' })
    expect(await program.check(token())).toBe('u')
    const accepted: string[] = []
    for (const [what, wrong] of ROWS) if ((await program.check(wrong())) !== undefined) accepted.push(what)
    expect(accepted).toEqual([])
    expect(await program.check(token())).toBe('u')
  })
})

describe('S9: a service in Python learns that a token was revoked', () => {
  let system: System
  let service: Machine
  beforeAll(async () => {
    system = await inProcess()
    service = await newClient(system, ['introspect'])
  })
  afterAll(() => system.stop())

  const logout = (token: string) => call(system.url.auth, 'POST /api/v1/auth/logout', { headers: as.bearer(token) })
  const giveRoles = (id: string) =>
    call(system.url.users, `PATCH /api/v1/users/${id}`, { headers: as.operator, body: { roles: ['USER', 'EDITOR'] } })
  const settings = () => ({ AUTH_URL: system.url.auth, CLIENT_ID: service.id, CLIENT_SECRET: service.secret })

  /** Ways to end a token. */
  const ENDINGS: Record<string, (user: TestUser) => Promise<{ status: number }>> = {
    'a logout': ({ tokens }) => logout(tokens.access_token),
    'new roles': ({ id }) => giveRoles(id),
    'a deleted user': ({ id }) => call(system.url.users, `DELETE /api/v1/users/${id}`, { headers: as.operator }),
  }

  test.each(['introspect.py', 'feed.py'])('%s: at once', async (name) => {
    const program = start(name, settings())
    for (const [ending, end] of Object.entries(ENDINGS)) {
      const user = await createUser(system)
      const second = (await logIn(system, user.email)).body.access_token
      expect([ending, await program.check(user.tokens.access_token)]).toEqual([ending, user.id])
      expect((await end(user)).status).toBeLessThan(300)
      expect([ending, await program.check(user.tokens.access_token)]).toEqual([ending, undefined])
      // Another session of the user goes on after a logout.
      expect([ending, await program.check(second)]).toEqual([ending, ending === 'a logout' ? user.id : undefined])
    }
    expect(await program.check('x')).toBeUndefined()
  })

  test.each(['introspect.py', 'feed.py'])('%s: a token of a client, at once', async (name) => {
    const machine = await newClient(system, ['orders:read'], [RESOURCE])
    const program = start(name, { ...settings(), AUDIENCE: RESOURCE, CLIENTS: machine.id })
    const [first, second] = [0, 1].map(() => tokenOf(system, machine, { resource: RESOURCE }))
    const tokens = [(await first) ?? '', (await second) ?? '']
    for (const token of tokens) expect(await program.check(token)).toBe(machine.id)
    const body = new URLSearchParams({ token: tokens[0] ?? '' }).toString()
    expect((await call(system.url.auth, 'POST /api/v1/auth/revoke', { headers: FORM, body })).status).toBe(200)
    expect(await program.check(tokens[0] ?? '')).toBeUndefined()
    expect(await program.check(tokens[1] ?? '')).toBe(machine.id)
    const disabled = { headers: as.operator, body: { status: 'disabled' } }
    expect((await call(system.url.auth, `PATCH /api/v1/admin/clients/${machine.id}`, disabled)).status).toBe(200)
    expect(await program.check(tokens[1] ?? '')).toBeUndefined()
  })

  test.each(['introspect.py', 'feed.py'])('%s: the tokens that an app has for a user, at once', async (name) => {
    const machine = await newClient(system, ['orders:read'])
    const app = { id: machine.id, token: await tokenOf(system, machine) }
    const program = start(name, { ...settings(), AUDIENCE: RESOURCE, CLIENTS: app.id })
    const user = await registerUser(system)
    const tokenWith = (claims: object) =>
      grantToken(system, user.tokens.access_token, app, { aud: RESOURCE, ...claims })
    const [online, revoked, offline] = [await tokenWith({}), await tokenWith({}), await tokenWith({ sid: undefined })]
    const accepted = () => Promise.all([online, revoked, offline].map(async (token) => !!(await program.check(token))))
    expect(await accepted()).toEqual([true, true, true])
    expect(await program.check(online)).toBe(user.id)
    expect(await program.check(await tokenWith({ aud: app.id }))).toBeUndefined()
    const body = new URLSearchParams({ token: revoked }).toString()
    expect((await call(system.url.auth, 'POST /api/v1/auth/revoke', { headers: FORM, body })).status).toBe(200)
    expect(await accepted()).toEqual([true, false, true])
    expect((await logout(user.tokens.access_token)).status).toBe(204)
    expect(await accepted()).toEqual([false, false, true])
    const disabled = { headers: as.operator, body: { status: 'disabled' } }
    expect((await call(system.url.auth, `PATCH /api/v1/admin/clients/${app.id}`, disabled)).status).toBe(200)
    expect(await accepted()).toEqual([false, false, false])
  })

  test('introspect.py: no refresh token, and no token for another service', async () => {
    const program = start('introspect.py', settings())
    const { tokens } = await registerUser(system)
    expect(await program.check(tokens.refresh_token)).toBeUndefined()
    const machine = await newClient(system, ['orders:read'], [RESOURCE])
    expect(await program.check(await tokenOf(system, machine, { resource: RESOURCE }))).toBeUndefined()
    const elsewhere = start('introspect.py', { ...settings(), AUDIENCE: RESOURCE })
    expect(await elsewhere.check(tokens.access_token)).toBeUndefined()
  })

  test('feed.py: decides by itself while it is subscribed', async () => {
    let introspections = 0
    const between = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: (request) => {
        const { pathname, search } = new URL(request.url)
        if (pathname.endsWith('/introspect')) introspections++
        return fetch(`${system.url.auth}${pathname}${search}`, {
          method: request.method,
          headers: request.headers,
          ...(request.body === null ? {} : { body: request.body }),
        })
      },
    })
    try {
      const program = start('feed.py', { ...settings(), AUTH_URL: between.url.origin, ISSUER: system.url.auth })
      const { id, tokens } = await registerUser(system)
      // Until its first page, and whenever the machine is too busy for its lease, it asks.
      await eventually(async () => {
        const before = introspections
        expect(await program.check(tokens.access_token)).toBe(id)
        return introspections === before
      })
      await logout(tokens.access_token)
      expect(await program.check(tokens.access_token)).toBeUndefined()
    } finally {
      await Promise.all(programs.splice(0).map((program) => program.stop()))
      await between.stop(true)
    }
  })

  test('webhook.py: when the event has arrived, and from nobody else', async () => {
    const port = freePort()
    const url = `http://127.0.0.1:${port}/`
    const body = { url, types: ['session.revoked', 'user.updated'] }
    const webhook = (await call(system.url.auth, 'POST /api/v1/admin/webhooks', { headers: as.operator, body })).body
    const file = join(directory, 'webhook.py')
    writeFileSync(file, readFileSync(file, 'utf8').replace('("127.0.0.1", 4000)', `("127.0.0.1", ${port})`))
    const program = Bun.spawn([PYTHON, file], {
      env: { ...process.env, AUTH_URL: system.url.auth, CH202_WEBHOOK_SECRET: webhook.secret },
      stderr: 'ignore',
    })
    try {
      const statusOf = async (token: string) => (await call(url, 'GET /', { headers: as.bearer(token) })).status
      await eventually(() => statusOf('x').catch(() => undefined))
      for (const [ending, end] of Object.entries(ENDINGS)) {
        const user = await createUser(system)
        const token = user.tokens.access_token
        expect([ending, await statusOf(token)]).toEqual([ending, 200])
        await end(user)
        await eventually(async () => (await statusOf(token)) === 401)
      }
      const { id, tokens } = await registerUser(system)
      const event = { type: 'session.revoked', data: { user_id: id, session_id: tokens.session_id } }
      const headers = { 'webhook-id': 'msg_x', 'webhook-timestamp': String(Math.floor(Date.now() / 1000)) }
      for (const signature of ['v1,AAAA', ''])
        expect(
          (await call(url, 'POST /', { headers: { ...headers, 'webhook-signature': signature }, body: event })).status,
        ).toBe(401)
      expect((await call(url, 'POST /', { body: event })).status).toBe(401)
      expect(await statusOf(tokens.access_token)).toBe(200)
    } finally {
      program.kill('SIGKILL')
      await program.exited
      await call(system.url.auth, `DELETE /api/v1/admin/webhooks/${webhook.id}`, { headers: as.operator })
    }
  })
})

test('S9: every program of the page is executed, and its commands exist', () => {
  const executed = [...Object.keys(PROGRAMS), 'webhook.py', 'introspect.py', 'feed.py']
  expect(blocks.map(([, name = '']) => name).toSorted()).toEqual(executed.toSorted())
  expect((page.match(/^```(js|python)$/gm) ?? []).length).toBe(blocks.length)
})
