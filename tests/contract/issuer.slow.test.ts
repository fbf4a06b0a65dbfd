import { Database } from 'bun:sqlite'
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { call } from '../support/http.ts'
import { freePort } from '../support/servers/ports.ts'
import { launch, ownSettings, runTool } from '../support/tool.ts'
import { sliced } from '../support/whole.ts'

setDefaultTimeout(120_000)

const folder = mkdtempSync(join(tmpdir(), 'ch202-issuer-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('R25: an issuer that clients cannot reach', () => {
  let next = 0
  const fresh = () => join(folder, `r25-${next++}`)
  /** The settings of a first start. */
  const settings = (more: Record<string, string>) => ownSettings(fresh(), more)
  const validated = async (env: Record<string, string>) => {
    const { status, stdout } = await runTool(['config', 'validate', '-o', 'json'], { env })
    return { status, faults: JSON.parse(stdout).faults as string[] }
  }
  const doctored = async (env: Record<string, string>) => {
    const { status, stdout } = await runTool(['doctor', '-o', 'json'], { env })
    const { items } = JSON.parse(stdout) as { items: { id: string; status: string; suggestion: string | null }[] }
    return { status, issuer: items.find(({ id }) => id === 'settings.issuer') }
  }

  const HOSTS = ['0.0.0.0', '[::]', '0', '0x0', '[::ffff:0.0.0.0]']
  const WAYS = [
    ['auth alone', ['serve', 'auth'], 'AUTH_URL'],
    ['all processes', ['start'], 'AUTH_URL'],
    ['one process', ['serve'], 'CH202_URL'],
  ] as const
  const rows = WAYS.flatMap(([way, words, name]) => HOSTS.map((host) => ({ way, words, name, host })))

  test.each(sliced(rows, 3))('$way at $host is refused, and no file is created', async ({ words, name, host }) => {
    const env = settings({ [name]: `http://${host}:${freePort()}`, PUBLIC_URL: 'https://app.example.org' })
    const fault = expect.stringMatching(new RegExp(`^ISSUER must be set: ${name} `))
    const ended = await runTool([...words], { env })
    expect([ended.status, ended.stdout]).toEqual([1, ''])
    expect(ended.stderr).toContain(`ISSUER must be set: ${name} `)
    expect(existsSync(join(env.CH202_DATA_DIR ?? '', 'auth.sqlite'))).toBe(false)
    expect(await validated(env)).toEqual({ status: 10, faults: [fault] })
    expect(await doctored(env)).toMatchObject({
      status: 10,
      issuer: { status: 'failed', suggestion: 'ISSUER=https://…' },
    })
  })

  test.each([
    ['AUTH_URL', 'AUTH_LISTEN', ['serve', 'auth']],
    ['CH202_URL', 'CH202_LISTEN', ['serve']],
  ] as const)('%s of this machine alone is refused, if %s is for others', async (name, listen, words) => {
    const port = freePort()
    for (const host of ['0.0.0.0', '[::]', '192.0.2.1']) {
      const env = settings({ [listen]: `${host}:${port}` })
      const fault = new RegExp(`^ISSUER must be set: ${name} is an address of this machine alone`)
      expect(await validated(env)).toEqual({ status: 10, faults: [expect.stringMatching(fault)] })
      const ended = await runTool([...words], { env })
      expect([ended.status, ended.stderr]).toEqual([1, expect.stringContaining(`ISSUER must be set: ${name} is`)])
      expect(existsSync(join(env.CH202_DATA_DIR ?? '', 'auth.sqlite'))).toBe(false)
      for (const fine of [{ ISSUER: 'https://id.example.org' }, { [name]: 'https://id.example.org' }])
        expect(await validated({ ...env, ...fine })).toEqual({ status: 0, faults: [] })
    }
    expect(await validated(settings({ [listen]: `127.0.0.1:${port}` }))).toEqual({ status: 0, faults: [] })
  })

  test('is reported together with the setting for links in mails', async () => {
    const env = settings({ CH202_URL: `http://0.0.0.0:${freePort()}` })
    const faults = [/^ISSUER must be set: CH202_URL /, /^PUBLIC_URL must be set: CH202_URL /]
    expect(await validated(env)).toEqual({ status: 10, faults: faults.map((fault) => expect.stringMatching(fault)) })
    const { stderr } = await runTool(['serve'], { env })
    expect(stderr.match(/ must be set: CH202_URL /g)?.length).toBe(2)
  })

  test('is avoided by setting ISSUER, and the services reach each other at every address', async () => {
    const port = freePort()
    const env = settings({
      ISSUER: 'https://id.example.org',
      PUBLIC_URL: 'https://app.example.org',
      AUTH_URL: `http://0.0.0.0:${port}`,
      USERS_URL: `http://[::]:${freePort()}`,
      MODULES_URL: `http://0.0.0.0:${freePort()}`,
    })
    expect(await validated(env)).toEqual({ status: 0, faults: [] })
    const running = launch([process.execPath, 'cli/main.ts', 'start'], { env, group: true })
    await running.printed(/ready at/, 3)
    const url = `http://127.0.0.1:${port}`
    const metadata = (await call(url, 'GET /.well-known/oauth-authorization-server')).body
    expect([metadata.issuer, metadata.jwks_uri]).toEqual([
      'https://id.example.org',
      'https://id.example.org/.well-known/jwks.json',
    ])
    const registration = await call(url, 'POST /api/v1/auth/register', {
      body: { email: 'ana@example.org', password: 'correct horse battery' },
    })
    expect(registration.status).toBe(201)
    const [, claims = ''] = registration.body.tokens.access_token.split('.')
    expect(JSON.parse(Buffer.from(claims, 'base64url').toString()).iss).toBe('https://id.example.org')
    const { issuer } = await doctored(env)
    expect(issuer).toMatchObject({ status: 'ok' })
    running.signal('SIGTERM')
    await running.ended
    // The issuer is stored from then on, so auth may have any address.
    const { ISSUER: _, ...later } = env
    expect(await validated(later)).toEqual({ status: 0, faults: [] })
    expect((await doctored(later)).issuer).toMatchObject({ status: 'ok' })
  })

  test('that an earlier start has stored is kept, and reported', async () => {
    const port = freePort()
    const env = settings({ AUTH_URL: `http://127.0.0.1:${port}`, USERS_URL: 'http://127.0.0.1:9' })
    const once = launch([process.execPath, 'cli/main.ts', 'serve', 'auth'], { env })
    await once.printed(/ready at/)
    once.signal('SIGTERM')
    await once.ended
    const settled = `http://0.0.0.0:${port}`
    const database = new Database(join(env.CH202_DATA_DIR ?? '', 'auth.sqlite'))
    database.run("UPDATE facts SET value = ? WHERE name = 'issuer'", [settled])
    database.run('PRAGMA wal_checkpoint(TRUNCATE)')
    database.close()

    const older = { ...env, AUTH_URL: settled }
    const again = launch([process.execPath, 'cli/main.ts', 'serve', 'auth'], { env: older })
    await again.printed(/ready at/)
    const { body } = await call(`http://127.0.0.1:${port}`, 'GET /.well-known/oauth-authorization-server')
    expect(body.issuer).toBe(settled)
    expect(await doctored(older)).toMatchObject({
      status: 10,
      issuer: { status: 'failed', suggestion: 'ISSUER=https://…' },
    })
    expect(await validated(older)).toEqual({ status: 10, faults: [expect.stringMatching(/^ISSUER must be set/)] })
    const withIssuer = { ...older, ISSUER: 'https://id.example.org' }
    expect(await validated(withIssuer)).toEqual({ status: 0, faults: [] })
    expect((await doctored(withIssuer)).issuer).toMatchObject({ status: 'ok' })
    again.signal('SIGTERM')
    await again.ended
  })
})
