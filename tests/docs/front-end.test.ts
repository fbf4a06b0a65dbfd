import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SCOPES } from '../../services/kit/access/scopes.ts'
import { createUser, newEmail, PASSWORD } from '../support/actors.ts'
import { Authenticator } from '../support/browser/authenticator.ts'
import { appWith, ORIGIN } from '../support/factors.ts'
import { newMachine, tokenOf } from '../support/oauth/machines.ts'
import { OPERATOR_KEY } from '../support/settings.ts'
import { inProcess, type System } from '../support/system.ts'
import { launch } from '../support/tool.ts'

/** Returns the code blocks of a page whose first line is the name of a file. */
function filesOf(page: string): Record<string, string> {
  const text = readFileSync(join(import.meta.dir, '../../docs', page), 'utf8')
  return Object.fromEntries(
    [...text.matchAll(/^```js\n\/\/ (\S+)\n([\s\S]*?)^```$/gm)].map(([, name = '', code = '']) => [name, code]),
  )
}

// A directory inside the project, so that imports find its packages.
const directory = mkdtempSync(join(import.meta.dir, '../.generated-'))
let system: System
beforeAll(async () => {
  system = await inProcess()
})
afterAll(async () => {
  rmSync(directory, { recursive: true, force: true })
  await system.stop()
})

async function load(page: string, name: string, replace: [string, string][]): Promise<Record<string, never>> {
  const code = replace.reduce((text, [from, to]) => {
    expect(text).toContain(from)
    return text.replaceAll(from, to)
  }, filesOf(page)[name] ?? '')
  const path = join(directory, name)
  writeFileSync(path, code)
  return await import(path)
}

test('the client of the guide for front ends registers, logs in, refreshes, reports errors and logs out', async () => {
  const page = 'integrate/front-end.md'
  const client = (await load(page, 'session.js', [['http://127.0.0.1:3000', system.url.auth]])) as never as {
    register(user: object): Promise<{ id: string }>
    logIn(login: string, password: string): Promise<void>
    logOut(): Promise<void>
    request(method: string, path: string, body?: object): Promise<{ id: string; name: string }>
  }
  const email = newEmail()
  const { id } = await client.register({ email, password: PASSWORD })
  await client.logIn(email, PASSWORD)
  expect(await client.request('PATCH', `/users/${id}`, { name: 'Ana' })).toMatchObject({ id, name: 'Ana' })

  // A change of roles revokes the access token: both requests go through one refresh.
  const roles = await fetch(`${system.url.users}/users/${id}`, {
    method: 'PATCH',
    headers: { 'x-api-key': OPERATOR_KEY, 'content-type': 'application/json' },
    body: JSON.stringify({ roles: ['USER', 'EDITOR'] }),
  })
  expect(roles.status).toBe(200)
  const both = await Promise.all([client.request('GET', '/auth/me'), client.request('GET', `/users/${id}`)])
  expect(both.map((user) => user.id)).toEqual([id, id])

  expect(client.register({ email: 'not an email', password: 'short' })).rejects.toMatchObject({
    code: 'validation_failed',
    errors: [{ field: 'email' }, { field: 'password', limit: 8 }],
  })
  await client.logOut()
  expect(client.logIn(email, 'a wrong password')).rejects.toMatchObject({ code: 'invalid_credentials' })
})

test('the verifier of the guide for services accepts an access token and refuses an altered one', async () => {
  const issuer = 'process.env.ISSUER ?? AUTH'
  const { verify } = (await load('integrate/service.md', 'verify.js', [
    ["process.env.AUTH_URL ?? 'http://127.0.0.1:3001'", JSON.stringify(system.url.auth)],
    [issuer, 'AUTH'],
  ])) as never as { verify(token: string): Promise<{ sub: string; roles: string[] }> }
  const answer = await fetch(`${system.url.auth}/api/v1/auth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: newEmail(), password: PASSWORD }),
  })
  const { id, tokens } = (await answer.json()) as { id: string; tokens: { access_token: string } }
  expect(await verify(tokens.access_token)).toMatchObject({ sub: id, roles: ['USER'] })
  expect(verify(`${tokens.access_token.slice(0, -8)}AAAAAAAA`)).rejects.toThrow()
})

test('the client of the guide for services reads a user by its scope', async () => {
  const scopes = ['users:read']
  const { id, secret } = await newMachine(system, { scopes }, 'without a token')
  const { userByEmail } = (await load('integrate/service.md', 'client.js', [
    ["process.env.AUTH_URL ?? 'http://127.0.0.1:3001'", JSON.stringify(system.url.auth)],
    ["process.env.USERS_URL ?? 'http://127.0.0.1:3002'", JSON.stringify(system.url.users)],
    ['process.env.CLIENT_ID', JSON.stringify(id)],
    ['process.env.CLIENT_SECRET', JSON.stringify(secret)],
  ])) as never as {
    userByEmail(email: string): Promise<{ id: string } | null>
  }
  const user = await createUser(system)
  expect(await userByEmail(user.email)).toMatchObject({ id: user.id })
  expect(await userByEmail(newEmail())).toBeNull()
})

test('the guide for services lists exactly the scopes, and that for the guard creates a client', async () => {
  const page = readFileSync(join(import.meta.dir, '../../docs/integrate/service.md'), 'utf8')
  const [, table = ''] = page.split('| Scope ')
  const rows = [...table.matchAll(/^\| `([a-z:]+)` /gm)].map(([, scope]) => scope)
  expect(rows).toEqual(Object.keys(SCOPES))

  const guide = readFileSync(join(import.meta.dir, '../../docs/integrate/guard.md'), 'utf8')
  const [, command = ''] = /^```sh\n(curl [\s\S]*?)^```$/m.exec(guide) ?? []
  const at = command.replaceAll('http://127.0.0.1:3001', system.url.auth)
  const answer = await launch(['sh', '-c', at], { env: { OPERATOR_API_KEY: OPERATOR_KEY } }).ended
  const { client_secret, id } = JSON.parse(answer.stdout)
  expect(await tokenOf(system, { id, secret: client_secret }, { scope: 'introspect modules:read' })).toBeString()
})

test('the second factors of the guide for front ends are added and complete logins', async () => {
  const address: [string, string][] = [['http://127.0.0.1:3000', system.url.auth]]
  const session = (await load('integrate/front-end.md', 'session.js', address)) as never as {
    logIn(login: string, password: string): Promise<void>
    request(method: string, path: string): Promise<{ id: string; recovery_codes_left: number }>
  }
  const client = (await load('integrate/second-factors.md', 'factors.js', [])) as never as {
    logInWithFactor(login: string, password: string, ask: (methods: string[]) => string | null): Promise<void>
    logInByPasskey(): Promise<void>
    startApp(): Promise<{ id: string; secret: string; qr: string }>
    confirmApp(id: string, code: string): Promise<{ recovery_codes: string[] }>
    addPasskey(name: string): Promise<{ factor: { name: string } }>
  }
  const { email, id } = await createUser(system, { email_verified: true })
  await session.logIn(email, PASSWORD)
  const begun = await client.startApp()
  expect(begun.qr).toStartWith('<svg')
  const { recovery_codes } = await client.confirmApp(begun.id, appWith(begun).codeAt(Date.now()))
  const passkey = new Authenticator(ORIGIN)
  const answer = (credential: object) => ({ toJSON: () => credential })
  const options = (json: object) => json
  Object.assign(globalThis, {
    PublicKeyCredential: { parseCreationOptionsFromJSON: options, parseRequestOptionsFromJSON: options },
  })
  const credentials = {
    create: async ({ publicKey }: { publicKey: never }) => answer(passkey.create(publicKey)),
    get: async ({ publicKey }: { publicKey: never }) => answer(passkey.get(publicKey)),
  }
  Object.defineProperty(navigator, 'credentials', { value: credentials, configurable: true })
  expect((await client.addPasskey('My phone')).factor.name).toBe('My phone')

  await client.logInWithFactor(email, PASSWORD, (methods) => {
    expect(methods).toEqual(['totp', 'recovery_code', 'passkey'])
    return recovery_codes[0] ?? ''
  })
  expect((await session.request('GET', '/auth/factors')).recovery_codes_left).toBe(9)
  await client.logInWithFactor(email, PASSWORD, () => null)
  expect((await session.request('GET', '/auth/me')).id).toBe(id)
  await client.logInByPasskey()
  expect((await session.request('GET', '/auth/me')).id).toBe(id)
  expect(client.logInWithFactor(email, PASSWORD, () => '000000')).rejects.toMatchObject({ code: 'invalid_code' })
})
