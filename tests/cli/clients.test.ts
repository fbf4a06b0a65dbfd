import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { as, call } from '../support/http.ts'
import { openInstance } from '../support/shell.ts'
import { sliced } from '../support/whole.ts'

setDefaultTimeout(120_000)

const SECRET = /^[\w-]{43}$/
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

let instance: Awaited<ReturnType<typeof openInstance>>
beforeAll(async () => {
  instance = await openInstance('clients')
})
afterAll(() => instance.close())

const run = (line: string) => instance.shell.run(`ch202 ${line}`)
const onScreen = (line: string, options = {}) =>
  instance.shell.inTerminal(`ch202 ${line}`, { env: { NO_COLOR: '1' }, ...options }).ended

/** Runs a line whose output is one JSON value. */
async function asJson(line: string) {
  const { status, stderr, stdout } = await run(`${line} -o json`)
  expect([line, status, stderr]).toEqual([line, 0, ''])
  return JSON.parse(stdout)
}

let counter = 0
const newName = () => `client-${++counter}`

/** Creates a machine with a name that no other test uses. */
async function newMachine(options = '--scope users:read') {
  return await asJson(`clients create ${newName()} ${options}`)
}

/** The status of a token request with a secret. */
async function tokenStatus(id: string, secret: string): Promise<number> {
  const authorization = `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`
  const headers = { authorization, 'content-type': 'application/x-www-form-urlencoded' }
  return (await call(instance.system.url.auth, 'POST /oauth/token', { headers, body: 'grant_type=client_credentials' }))
    .status
}

describe('16: clients create', () => {
  test.each([
    ['a machine', '--scope users:read', { kind: 'confidential', scopes: ['users:read'], redirect_uris: [] }],
    [
      'scopes with commas, spaces and repeated',
      "--scope introspect,modules:read --scope 'audit:read metrics'",
      { scopes: ['introspect', 'modules:read', 'audit:read', 'metrics'], grant_types: ['client_credentials'] },
    ],
    [
      'a web app',
      '--redirect-uri https://a.example.org/cb --redirect-uri https://b.example.org/cb --no-pkce --first-party',
      {
        kind: 'confidential',
        redirect_uris: ['https://a.example.org/cb', 'https://b.example.org/cb'],
        require_pkce: false,
        first_party: true,
        scopes: ['openid', 'profile', 'email'],
      },
    ],
    [
      'an app with all addresses',
      [
        '--redirect-uri https://a.example.org/cb --post-logout-redirect-uri https://a.example.org/',
        '--backchannel-logout-uri https://a.example.org/out --resource https://api.example.org --id-token-alg ES256',
        '--grant authorization_code --auth-method client_secret_post',
      ].join(' '),
      {
        post_logout_redirect_uris: ['https://a.example.org/'],
        backchannel_logout_uri: 'https://a.example.org/out',
        resources: ['https://api.example.org'],
        id_token_alg: 'ES256',
        grant_types: ['authorization_code'],
        token_auth_method: 'client_secret_post',
        require_pkce: true,
      },
    ],
  ])('%s', async (_, options, fields) => {
    const name = newName()
    const created = await asJson(`clients create ${name} ${options}`)
    expect(created).toMatchObject({ name, ...fields, status: 'active', changed: true })
    expect(created.client_secret).toMatch(SECRET)
  })

  test.each([
    ['a single-page app', '--public --redirect-uri https://a.example.org/', { token_auth_method: 'none' }],
    ['a native app', '--public --redirect-uri http://127.0.0.1/callback', { kind: 'public', require_pkce: true }],
    [
      'a machine with a key of its own',
      '--scope metrics --jwks-uri https://a.example.org/jwks.json',
      { token_auth_method: 'private_key_jwt', jwks_uri: 'https://a.example.org/jwks.json' },
    ],
  ])('%s has no secret', async (_, options, fields) => {
    const line = `clients create ${newName()} ${options}`
    const created = await asJson(line)
    expect(created).toMatchObject(fields)
    expect(created).not.toHaveProperty('client_secret')
    expect((await run(`clients create ${newName()} ${options}`)).stderr).toBe('')
  })

  test('prints a secret that works, once: no list, log, database, file or debug line has it', async () => {
    const name = newName()
    const { status, stderr, stdout } = await run(`clients create ${name} --scope users:read --debug`)
    const [, secret = ''] = /^client_secret +(\S+)$/m.exec(stdout) ?? []
    const [, id = ''] = /^id +(\S+)$/m.exec(stdout) ?? []
    expect([status, SECRET.test(secret), UUID.test(id)]).toEqual([0, true, true])
    expect(stderr).toContain('The secret is shown only once')
    expect(stderr).not.toContain(secret)
    expect(await tokenStatus(id, secret)).toBe(200)
    expect(await tokenStatus(id, `${secret.slice(0, -1)}!`)).toBe(401)
    const later = await Promise.all(
      ['clients list -o json', `clients get ${name}`, 'audit list -o json', 'clients list'].map(run),
    )
    for (const { stdout: output } of later) expect(output).not.toContain(secret)
    expect(instance.system.output()).not.toContain(secret)
    if (instance.system.database) return
    const database = new Database(join(instance.system.dataDir, 'auth.sqlite'))
    database.run('PRAGMA wal_checkpoint(TRUNCATE)')
    database.close()
    expect(readFileSync(join(instance.system.dataDir, 'auth.sqlite')).includes(secret)).toBe(false)
  })

  test('in each form: JSON and --fields have the secret; ids have not, and the way to another one is printed', async () => {
    const only = await run(`clients create ${newName()} --scope metrics -o csv --fields client_secret`)
    expect(only.stdout).toMatch(/^client_secret\n[\w-]{43}\n$/)
    const ids = await run(`clients create ${newName()} --scope metrics -o ids`)
    expect(ids.stdout.trim()).toMatch(UUID)
    expect(ids.stderr).toBe(
      `The secret was not printed, and cannot be read again\n→ ch202 clients rotate-secret ${ids.stdout.trim()}\n`,
    )
    const quiet = await run(`clients create ${newName()} --scope metrics --quiet --fields client_secret`)
    expect([quiet.stderr, quiet.stdout]).toEqual(['', expect.stringMatching(/^client_secret +[\w-]{43}\n$/)])
  })

  test.each(sliced([60, 80, 200], 2))(
    '%d columns wide: the secret is on one line, so that it can be copied',
    async (cols) => {
      const { screen, status } = await onScreen(`clients create ${newName()} --scope users:read`, { cols })
      expect([status, screen]).toEqual([0, expect.stringMatching(/^client_secret {2}[\w-]{43}$/m)])
      // A word longer than its column, such as the id beside the longest field name, is not split.
      const wide = screen.split('\n').filter((line) => Bun.stringWidth(line) > cols && !/ \S{27,}$/.test(line))
      expect(wide).toEqual([])
    },
  )

  test('a scope of another service that resembles one of ours is accepted with a warning', async () => {
    const name = newName()
    const { status, stderr } = await run(`clients create ${name} --scope user:read,orders:read,metrics`)
    expect(status).toBe(0)
    expect(stderr).toContain('user:read opens nothing in Ch202. Did you mean users:read?')
    expect(stderr).toContain(`→ ch202 clients update ${name} --scope users:read,orders:read,metrics\n`)
    expect(stderr).not.toContain('orders:read opens')
    const [, fix = ''] = stderr.split('→ ch202 ')
    expect(await run(fix.trim())).toMatchObject({ status: 0, stderr: '' })
  })
})

describe('16: a refused client', () => {
  const APP = '--public --redirect-uri https://a.example.org/'
  const corrections = [
    ['an unknown scope', '--scope users:raed,metrics', '--scope users:read,metrics'],
    ['an unknown scope, by =', '--scope=sessions:revok', '--scope=sessions:revoke'],
    ['an unknown scope without a colon', '--scope introspec', '--scope introspect'],
    ['a public client with a secret', `${APP} --auth-method client_secret_basic`, `${APP} --auth-method none`],
    ['a public client without PKCE', `${APP} --no-pkce`, APP],
    [
      'a redirect address without https',
      '--redirect-uri http://a.example.org/cb?a=b,c',
      '--redirect-uri https://a.example.org/cb?a=b,c',
    ],
    [
      'addresses that Ch202 calls without https',
      '--scope metrics --jwks-uri http://a.example.org/j',
      '--scope metrics --jwks-uri https://a.example.org/j',
    ],
    [
      'two errors',
      '--scope openid,emial --redirect-uri http://a.example.org/',
      '--scope openid,email --redirect-uri https://a.example.org/',
    ],
  ] as const
  /** The command that is suggested works as printed. */
  test.each(sliced(corrections, 3))('%s: the corrected command works as printed', async (_, options, corrected) => {
    const name = newName()
    const { status, stderr, stdout } = await instance.shell.run(
      `ch202 clients create ${name} ${options.replace('?a=b,c', "'?a=b,c'")}`,
    )
    expect([status, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/^✗ .*\(validation_failed, request \S+\)\n/)
    const [, line = ''] = stderr.split('→ ')
    expect(line.trim().replaceAll("'", '')).toBe(`ch202 clients create ${name} ${corrected}`)
    expect(await instance.shell.run(line)).toMatchObject({ status: 0 })
  })

  test.each([
    ['a public client without addresses', '--public', '--public --redirect-uri <address>'],
    [
      'a key without its address',
      '--auth-method private_key_jwt',
      '--auth-method private_key_jwt --jwks-uri <address>',
    ],
  ])('%s: the missing option is named', async (_, options, corrected) => {
    const name = newName()
    const { status, stderr } = await run(`clients create ${name} ${options}`)
    expect([status, stderr]).toEqual([1, expect.stringContaining(`→ ch202 clients create ${name} ${corrected}\n`)])
  })

  const others = [
    ['a scope that resembles none of ours', '--scope users:everything', 1, 'clients create --help'],
    ['a fragment', '--redirect-uri https://a.example.org/#x', 1, 'clients create --help'],
    ['an unknown grant', '--grant password', 2, 'clients create --help'],
    ['an unknown method', '--auth-method tls', 2, 'clients create --help'],
    ['an unknown algorithm', '--id-token-alg HS256', 2, 'clients create --help'],
    ['a secret as an option', '--client-secret x', 2, 'clients create --help'],
  ] as const
  test.each(sliced(others, 3, ([, , exit]) => exit))('%s: the help is named', async (_, options, exit, suggestion) => {
    const { status, stderr, stdout } = await run(`clients create ${newName()} ${options}`)
    expect([status, stdout, stderr]).toEqual([exit, '', expect.stringContaining(`→ ch202 ${suggestion}\n`)])
  })

  test('an error names the option, and a scope; an address is not repeated, because it may contain a secret', async () => {
    const scope = await run(`clients create ${newName()} --scope metrics,users:everything`)
    expect(scope.stderr).toStartWith('✗ --scope users:everything must be a scope of Ch202')
    const address = await run(`clients create ${newName()} --redirect-uri https://u:canary@a.example.org/`)
    expect(address.stderr).toStartWith('✗ --redirect-uri must not contain a user name or a password')
    expect(address.stdout + address.stderr).not.toContain('canary')
    const { name } = await newMachine()
    const update = await run(`clients update ${name} --scope users:everything`)
    expect([update.status, update.stderr]).toEqual([
      1,
      expect.stringMatching(/^✗ --scope users:everything .*\n→ .*--help\n$/),
    ])
    const { error } = JSON.parse((await run(`clients create ${newName()} --scope users:everything -o json`)).stdout)
    expect(error.errors).toEqual([expect.objectContaining({ field: 'scopes.0', code: 'not_allowed' })])
    const secret = await run(`clients create ${newName()} --client-secret canary`)
    expect([secret.status, (secret.stdout + secret.stderr).includes('canary')]).toEqual([2, false])
  })

  test('a name that is taken: the other client is named', async () => {
    const { name } = await newMachine()
    const { status, stderr } = await run(`clients create ${name}`)
    expect([status, stderr]).toEqual([
      6,
      expect.stringMatching(new RegExp(`\\(client_exists.*\n→ ch202 clients get ${name}\n`)),
    ])
    const { error, ok } = JSON.parse((await run(`clients create ${name} -o json`)).stdout)
    expect([ok, error.code, error.suggestion]).toEqual([false, 'client_exists', `ch202 clients get ${name}`])
  })
})

describe('16: a client is named by its name or its id', () => {
  const verbs = ['get', 'update --scope metrics', 'disable', 'enable', 'rotate-secret', 'delete --yes']
  test.each(sliced(verbs, 2))('%s', async (verb) => {
    const [first, second] = [await newMachine(), await newMachine()]
    for (const ref of [first.name, second.id]) expect(await run(`clients ${verb} ${ref}`)).toMatchObject({ status: 0 })
  })

  test.each(sliced(verbs.slice(0, -1), 3))('%s: nobody, 3', async (verb) => {
    const { name } = await newMachine()
    const unknown = await run(`clients ${verb} nobody-at-all`)
    expect(unknown).toMatchObject({ status: 3, stdout: '' })
    expect(unknown.stderr).toBe('✗ There is no client nobody-at-all (client_not_found)\n→ ch202 clients list\n')
    const similar = await run(`clients ${verb} ${name}x`)
    expect([similar.status, similar.stderr]).toEqual([3, expect.stringMatching(/Did you mean client-\d+\?/)])
    const shortened = await run(`clients ${verb} …0123abcd`)
    expect([shortened.status, shortened.stderr]).toEqual([2, expect.stringContaining('→ ch202 clients list --wide')])
  })

  test('a name with blanks and quotes is quoted in suggestions', async () => {
    const name = `The "crm" of Ana's team ${newName()}`
    const quoted = `'${name.replaceAll("'", "'\\''")}'`
    await run(`clients create ${quoted} --scope metrics`)
    const { stderr } = await run(`clients create ${quoted}`)
    expect(await instance.shell.run(stderr.split('→ ')[1] ?? '')).toMatchObject({ status: 0 })
  })
})

describe('16: clients update', () => {
  test('changes what the options name, and nothing else; doing it again changes nothing', async () => {
    const before = await newMachine('--scope users:read --resource https://a.example.org')
    const line = `clients update ${before.id} --name ${before.name}-b --scope users:read,metrics --status disabled`
    const { changed, client_secret: _, ...after } = await asJson(line)
    const { changed: __, client_secret: ___, ...rest } = before
    expect(after).toEqual({ ...rest, name: `${before.name}-b`, scopes: ['users:read', 'metrics'], status: 'disabled' })
    expect([changed, (await asJson(line)).changed]).toEqual([true, false])
  })

  test('the negated options empty their fields', async () => {
    const { id } = await newMachine(
      '--redirect-uri https://a.example.org/ --backchannel-logout-uri https://a.example.org/out --first-party --no-pkce',
    )
    const line = [
      `clients update ${id} --no-redirect-uri --grant client_credentials --no-scope --no-backchannel-logout-uri`,
      '--no-first-party --pkce',
    ].join(' ')
    expect(await asJson(line)).toMatchObject({
      ...{ redirect_uris: [], scopes: [], backchannel_logout_uri: null, first_party: false, require_pkce: true },
    })
  })

  test('names what is missing: an option, a secret', async () => {
    const { id, name } = await newMachine('--scope metrics --jwks-uri https://a.example.org/j')
    const nothing = await run(`clients update ${id}`)
    expect([nothing.status, nothing.stderr]).toEqual([
      2,
      expect.stringMatching(/Nothing to change.*\n→ .*update --help/),
    ])
    const refused = await run(`clients rotate-secret ${name}`)
    expect([refused.status, refused.stdout, refused.stderr]).toEqual([
      1,
      '',
      expect.stringContaining('authenticates with its own key'),
    ])
    const [, fix = ''] = refused.stderr.split('→ ch202 ')
    const updated = await run(fix.trim())
    expect([updated.status, updated.stderr]).toEqual([
      0,
      `The client needs a secret to authenticate\n→ ch202 clients rotate-secret ${name}\n`,
    ])
    expect((await asJson(`clients rotate-secret ${name}`)).client_secret).toMatch(SECRET)
  })
})

describe('16: clients enable and disable', () => {
  test('are done once, and decide about new tokens', async () => {
    const { client_secret, id, name } = await newMachine()
    expect(await asJson(`clients disable ${name}`)).toMatchObject({ status: 'disabled', changed: true })
    expect(await asJson(`clients disable ${name}`)).toMatchObject({ status: 'disabled', changed: false })
    expect(await tokenStatus(id, client_secret)).toBe(401)
    expect(await asJson(`clients enable ${name}`)).toMatchObject({ status: 'active', changed: true })
    expect(await tokenStatus(id, client_secret)).toBe(200)
  })
})

describe('16: clients rotate-secret', () => {
  test('the secret before it works until the next rotation; with --only no other works', async () => {
    const { client_secret: first, id, name } = await newMachine()
    const { client_secret: second } = await asJson(`clients rotate-secret ${name}`)
    expect([await tokenStatus(id, first), await tokenStatus(id, second)]).toEqual([200, 200])
    const unasked = await run(`clients rotate-secret ${name} --only`)
    expect([unasked.status, unasked.stdout]).toEqual([2, ''])
    expect(unasked.stderr).toContain(`--yes or --confirm ${name}`)
    expect(await tokenStatus(id, first)).toBe(200)
    const wrong = await run(`clients rotate-secret ${name} --only --confirm other`)
    expect([wrong.status, wrong.stdout]).toEqual([2, ''])
    const { client_secret: third } = await asJson(`clients rotate-secret ${name} --only --confirm ${name}`)
    const statuses = await Promise.all([first, second, third].map((secret) => tokenStatus(id, secret)))
    expect(statuses).toEqual([401, 401, 200])
  })

  test('a terminal is asked about --only, and no changes nothing', async () => {
    const { client_secret, id, name } = await newMachine()
    const declined = await onScreen(`clients rotate-secret ${name} --only`, { typed: [[/stop working/, 'n']] })
    expect([declined.status, declined.screen]).toEqual([1, expect.stringContaining('Nothing was changed')])
    expect(await tokenStatus(id, client_secret)).toBe(200)
    const agreed = await onScreen(`clients rotate-secret ${name} --only`, { typed: [[/stop working/, 'y']] })
    expect([agreed.status, agreed.screen]).toEqual([0, expect.stringMatching(/^client_secret {2}[\w-]{43}$/m)])
    expect(await tokenStatus(id, client_secret)).toBe(401)
  })

  test('a public client has none', async () => {
    const { name } = await newMachine('--public --redirect-uri https://a.example.org/')
    const { status, stderr } = await run(`clients rotate-secret ${name}`)
    expect([status, stderr]).toEqual([
      1,
      `✗ The client ${name} has no secret: it is public (validation_failed)\n→ ch202 clients get ${name}\n`,
    ])
  })
})

describe('16: clients delete', () => {
  test('wants a confirmation; a second time deletes nothing', async () => {
    const { client_secret, id, name } = await newMachine()
    const unasked = await run(`clients delete ${name}`)
    expect([unasked.status, unasked.stderr]).toEqual([2, expect.stringContaining(`--yes or --confirm ${name}`)])
    expect(await tokenStatus(id, client_secret)).toBe(200)
    expect(await asJson(`clients delete ${name} --confirm ${name}`)).toEqual({ ok: true, id, changed: true })
    expect(await tokenStatus(id, client_secret)).toBe(401)
    const again = await run(`clients delete ${name} --yes`)
    expect([again.status, again.stderr]).toEqual([0, `There is no client ${name}: nothing was deleted\n`])
  })
})

test('16: the audit has each change of a client, with its name and without a secret', async () => {
  const { client_secret, id, name } = await newMachine()
  for (const line of [`update ${id} --scope metrics`, `rotate-secret ${id}`, `delete ${id} --yes`])
    await run(`clients ${line}`)
  const { items } = await asJson('audit list --all')
  const mine = items.filter(({ detail }: { detail: { client_id?: string } }) => detail.client_id === id)
  expect(mine.map(({ type }: { type: string }) => type).toReversed()).toEqual(
    ['created', 'updated', 'secret_rotated', 'deleted'].map((verb) => `client.${verb}`),
  )
  expect(JSON.stringify(mine)).not.toContain(client_secret)
  expect(mine.at(-1).detail).toMatchObject({ name })
})

test('16: a key without rights is refused', async () => {
  const env = { OPERATOR_API_KEY: 'wrong' }
  const { status, stderr } = await instance.shell.run('ch202 clients list', { env })
  expect([status, stderr]).toEqual([4, expect.stringContaining('(invalid_api_key')])
  const { status: direct } = await call(instance.system.url.auth, 'GET /api/v1/admin/clients', { headers: as.internal })
  expect(direct).toBe(403)
})
