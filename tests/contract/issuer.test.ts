import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { as, call, registerUser, startSystem } from '../harness.ts'

const folder = mkdtempSync(join(tmpdir(), 'ch202-issuer-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test.each([
  ['the address of the first start', {}],
  ['ISSUER', { ISSUER: 'https://id.example.org' }],
])('what tokens are issued under does not change with the address: %s', async (name, first) => {
  const CH202_DATA_DIR = join(folder, name.replaceAll(' ', '-'))
  const issuerOf = async (url: string) => (await call(url, 'GET /.well-known/oauth-authorization-server')).body.issuer

  const before = await startSystem('one process', { CH202_DATA_DIR, ...first })
  const { tokens } = await registerUser(before)
  const issuer = await issuerOf(before.url.auth)
  expect(issuer).toBe('ISSUER' in first ? first.ISSUER : before.url.auth)
  await before.stop()

  // At another address, and with the setting gone.
  const after = await startSystem('one process', { CH202_DATA_DIR })
  expect(after.url.auth).not.toBe(before.url.auth)
  expect(await issuerOf(after.url.auth)).toBe(issuer)
  expect((await call(after.url.users, 'GET /auth/me', { headers: as.bearer(tokens.access_token) })).status).toBe(200)
  await after.stop()
})
