import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { registerUser } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { databaseKind, newSystemDatabase } from '../support/postgres/system-database.ts'
import { inProcess } from '../support/system.ts'

const folder = mkdtempSync(join(tmpdir(), 'ch202-issuer-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test.each([
  ['the address of the first start', {}],
  ['ISSUER', { ISSUER: 'https://id.example.org' }],
])('the issuer of tokens stays the same when the address changes: %s', async (name, first) => {
  const CH202_DATA_DIR = join(folder, name.replaceAll(' ', '-'))
  const issuerOf = async (url: string) => (await call(url, 'GET /.well-known/oauth-authorization-server')).body.issuer

  const database = databaseKind() === 'postgres' ? await newSystemDatabase('together') : undefined
  const env: Record<string, string> = {
    CH202_DATA_DIR,
    ...(database ? { DATABASE_URL: database.addressOf('auth') } : {}),
  }
  const before = await inProcess({ ...env, ...first })
  const { tokens } = await registerUser(before)
  const issuer = await issuerOf(before.url.auth)
  expect(issuer).toBe('ISSUER' in first ? first.ISSUER : before.url.auth)
  await before.stop()

  // Started at another address, without the setting.
  const after = await inProcess(env)
  expect(after.url.auth).not.toBe(before.url.auth)
  expect(await issuerOf(after.url.auth)).toBe(issuer)
  expect((await call(after.url.users, 'GET /auth/me', { headers: as.bearer(tokens.access_token) })).status).toBe(200)
  await after.stop()
  await database?.remove()
})
