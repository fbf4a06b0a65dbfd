import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { connect } from '../../cli/client/connection.ts'
import { version } from '../../package.json'
import { createUser, PASSWORD, type TestUser } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { freePort } from '../support/servers/ports.ts'
import { openShell } from '../support/shell.ts'
import type { System } from '../support/system.ts'
import { inProcessApart } from '../support/system.ts'
import { type Ended, runTool, temporary } from '../support/tool.ts'
import { sliced, WHOLE } from '../support/whole.ts'

setDefaultTimeout(120_000)

const folder = temporary('access')
/** Seconds. The tool renews a token after half of this time. Longer than a command takes on a busy machine. */
const LIFE = 60
let system: System
let admin: TestUser
let user: TestUser
/** A reverse proxy in front of the three services, also reachable under a name that is not local. */
let proxy: Recorder
beforeAll(async () => {
  // Tokens that expire soon, and no grace for a used refresh token: a lost token causes a failure.
  system = await inProcessApart({
    RATE_LIMIT: 'off',
    JWT_EXPIRE: `${LIFE}s`,
    REFRESH_REUSE_GRACE: '0s',
  })
  admin = await createUser(system, { roles: ['USER', 'ADMIN'] })
  user = await createUser(system)
  proxy = record((request) => {
    const { pathname, search } = new URL(request.url)
    const [part = ''] = pathname.replace('/api/v1', '').split('/').slice(1)
    const place = part === 'users' ? 'users' : part === 'modules' ? 'modules' : 'auth'
    return fetch(`${system.url[place]}${pathname}${search}`, {
      method: request.method,
      headers: request.headers,
      body: request.body,
    })
  })
})
afterAll(async () => {
  await proxy.server.stop(true)
  await system.stop()
  folder.remove()
})

let home: string
beforeEach(() => {
  home = folder.fresh()
})

/** Checks that no token of any context was printed. */
let printed = ''
const tokens = new Set<string>()
afterEach(() => {
  for (const token of tokens) expect(printed.includes(token)).toBe(false)
})

interface Recorder {
  server: ReturnType<typeof Bun.serve>
  seen: { path: string; headers: Record<string, string> }[]
  local: string
  elsewhere: string
}

/** An address of this machine that looks like that of another machine. */
const address = Object.values(networkInterfaces())
  .flat()
  .find((one) => one?.family === 'IPv4' && !one.internal)?.address
const ELSEWHERE = address ?? '[::ffff:127.0.0.1]'

function record(answer: (request: Request) => Response | Promise<Response>): Recorder {
  const seen: Recorder['seen'] = []
  const server = Bun.serve({
    port: 0,
    hostname: '0.0.0.0',
    fetch(request) {
      seen.push({ path: new URL(request.url).pathname, headers: request.headers.toJSON() })
      return answer(request)
    },
  })
  return {
    server,
    seen,
    local: `http://127.0.0.1:${server.port}`,
    elsewhere: `http://${ELSEWHERE}:${server.port}`,
  }
}

interface Kept {
  access_token: string
  access_until: number
  refresh_token: string
  session_id: string
  auth: string
}

const folderOf = () => join(home, 'ch202', 'contexts')
const fileOf = (name: string) => join(folderOf(), `${name}.json`)
const readContext = (name: string): Kept => JSON.parse(readFileSync(fileOf(name), 'utf8'))
const names = () => {
  try {
    return readdirSync(folderOf()).sort()
  } catch {
    return []
  }
}

async function run(words: string[], options: { env?: Record<string, string>; stdin?: string } = {}): Promise<Ended> {
  const note = () => {
    for (const file of names().filter((name) => name.endsWith('.json'))) {
      const { access_token, refresh_token } = readContext(file.replace(/\.json$/, ''))
      tokens.add(access_token).add(refresh_token)
    }
  }
  const env = { XDG_CONFIG_HOME: home, CH202_DATA_DIR: folder.fresh(), ...options.env }
  note()
  const ended = await runTool(words, { ...options, env })
  note()
  printed += ended.stdout + ended.stderr
  return ended
}

const login = (words: string[], { email = admin.email, password = PASSWORD, env = {} } = {}) =>
  run(['login', ...words, '--email', email, '--password-stdin'], { env, stdin: password })

const json = ({ stdout }: Ended) => JSON.parse(stdout)

const sessionsOf = async (id: string): Promise<{ id: string; user_agent: string }[]> =>
  (await call(system.url.auth, `GET /auth/sessions?user_id=${id}&size=200`, { headers: as.operator })).body.items

describe('login', () => {
  test('at auth finds the other services, stores the session readable by its owner alone, and selects the new context', async () => {
    const { status, stdout, stderr } = await login([system.url.auth, '--debug', '-o', 'json'])
    const name = new URL(system.url.auth).host
    expect([status, stderr]).toEqual([0, expect.stringContaining('/api/v1/auth/login → 200')])
    const { session_id, ...result } = JSON.parse(stdout)
    expect(result).toEqual({
      context: name,
      ...system.url,
      email: admin.email,
      roles: ['USER', 'ADMIN'],
      changed: true,
    })
    expect((await sessionsOf(admin.id)).find(({ id }) => id === session_id)?.user_agent).toBe(`ch202/${version}`)
    expect(names()).toEqual([`${name}.json`])
    for (const [path, mode] of [
      [fileOf(name), 0o600],
      [folderOf(), 0o700],
      [join(home, 'ch202'), 0o700],
      [join(home, 'ch202', 'current.json'), 0o600],
    ] as const)
      expect([path, statSync(path).mode & 0o777]).toEqual([path, mode])
    const listed = await run(['users', 'get', user.email, '-o', 'ids'])
    expect(listed).toMatchObject({ status: 0, stdout: `${user.id}\n`, stderr: '' })
  })

  test('at a proxy uses its address for all services; plain HTTP to another machine needs --insecure', async () => {
    const before = proxy.seen.length
    const refused = await login([proxy.elsewhere])
    expect([refused.status, refused.stdout, proxy.seen.length]).toEqual([2, '', before])
    expect(refused.stderr).toContain('unencrypted')
    const done = await login([proxy.elsewhere, '--insecure', '--name', 'far', '-o', 'json'])
    const { elsewhere } = proxy
    expect(json(done)).toMatchObject({ context: 'far', auth: elsewhere, users: elsewhere, modules: elsewhere })
    expect(await run(['users', 'get', user.email, '-o', 'ids'])).toMatchObject({ status: 0, stdout: `${user.id}\n` })
  })

  test('is for administrators: the sessions of other users are ended, and nothing is stored', async () => {
    const before = await sessionsOf(user.id)
    const refused = await login([system.url.auth], { email: user.email })
    expect([refused.status, refused.stdout, names()]).toEqual([5, '', []])
    expect(refused.stderr).toContain(`${user.email} is not an administrator`)
    expect(await sessionsOf(user.id)).toEqual(before)
    const wrong = await login([system.url.auth], { password: 'wrong horse battery' })
    expect([wrong.status, wrong.stderr, names()]).toEqual([4, expect.stringContaining('invalid_credentials'), []])
  })

  test('replaces an existing context, and ends its session', async () => {
    await login([system.url.auth, '--name', 'one'])
    const first = readContext('one')
    expect(json(await login([system.url.auth, '-o', 'json']))).toMatchObject({ context: 'one' })
    const live = (await sessionsOf(admin.id)).map(({ id }) => id)
    expect([live.includes(first.session_id), live.includes(readContext('one').session_id)]).toEqual([false, true])
    expect(names()).toEqual(['one.json'])
  })

  test('with wrong arguments explains the mistake, and sends no request', async () => {
    const to = ['login', 'http://127.0.0.1:1', '--email', 'a@example.org']
    const table: [words: string[], ...said: string[]][] = [
      [['login', 'http://127.0.0.1:1'], '--email', '--password-stdin'],
      [to, '--password-stdin'],
      [['login', 'http://127.0.0.1:1', '--password-stdin'], '--email'],
      [['login', 'example', '--email', 'a@example.org', '--password-stdin'], 'http://'],
      [['login', 'http://u:p@127.0.0.1:1', '--email', 'a@example.org', '--password-stdin'], 'http://'],
      [[...to, '--password-stdin', '--name', '../x'], 'name'],
      [[...to, '--password-stdin', '--name', 'local'], 'local'],
      [[...to, '--password', 'x'], '--password'],
    ]
    const ended = await Promise.all(table.map(([words]) => run(words, { stdin: 'secret words' })))
    for (const [at, [words, ...expectedTexts]] of table.entries()) {
      expect([words, ended[at]?.status, ended[at]?.stdout]).toEqual([words, 2, ''])
      for (const part of expectedTexts)
        expect([words, ended[at]?.stderr]).toEqual([words, expect.stringContaining(part)])
    }
    expect(names()).toEqual([])
  })

  test('in a terminal prompts for email and password, and does not show the password', async () => {
    const shell = openShell('login', { XDG_CONFIG_HOME: home })
    const { screen, status } = await shell.inTerminal(`ch202 login ${system.url.auth} --name asked`, {
      typed: [
        [/Email/, `${admin.email}\r`],
        [/Password/, `${PASSWORD}\r`],
      ],
    }).ended
    shell.close()
    expect([status, screen.includes(PASSWORD), names()]).toEqual([0, false, ['asked.json']])
  })
})

describe('logout', () => {
  test('ends the session and removes it; a second logout has nothing to do', async () => {
    await login([system.url.auth, '--name', 'one'])
    const { access_token, session_id } = readContext('one')
    expect(json(await run(['logout', '-o', 'json']))).toEqual({ ok: true, context: 'one', changed: true })
    expect((await sessionsOf(admin.id)).some(({ id }) => id === session_id)).toBe(false)
    const refused = await call(system.url.modules, 'GET /modules/', { headers: as.bearer(access_token) })
    expect([refused.status, names()]).toEqual([401, []])
    for (const words of [['logout'], ['logout', 'one']]) {
      const again = await run([...words, '-o', 'json'])
      expect([again.status, json(again).changed]).toEqual([0, false])
    }
    expect(json(await run(['context', 'list', '-o', 'json'])).items).toMatchObject([{ name: 'local', current: true }])
  })

  test('removes the session even when no service answers, and reports that it is still valid', async () => {
    await login([system.url.auth, '--name', 'gone'])
    const { session_id } = readContext('gone')
    writeFileSync(fileOf('gone'), JSON.stringify({ ...readContext('gone'), auth: `http://127.0.0.1:${freePort()}` }))
    const { status, stderr, stdout } = await run(['logout', 'gone'])
    expect([status, names()]).toEqual([0, []])
    expect(stdout).toMatch(/^changed +true$/m)
    expect(stderr).toMatch(/stays active until \d{4}-/)
    expect(stderr).toContain(`→ ch202 sessions revoke ${session_id}`)
  })
})

describe('the session of a context', () => {
  test('is refreshed when needed', async () => {
    const before = Date.now()
    await login([system.url.auth, '--name', 'one'])
    const first = readContext('one')
    expect(first.access_until).toBeWithin(before + LIFE * 500, Date.now() + LIFE * 500 + 1)
    expect(await run(['users', 'get', user.email])).toMatchObject({ status: 0, stderr: '' })
    expect(readContext('one')).toEqual(first)
    writeFileSync(fileOf('one'), JSON.stringify({ ...first, access_until: Date.now() }))
    expect(await run(['users', 'get', user.email])).toMatchObject({ status: 0, stderr: '' })
    const second = readContext('one')
    expect([second.session_id, second.refresh_token === first.refresh_token]).toEqual([first.session_id, false])
    // A token that is refused before it expires is renewed as well.
    writeFileSync(fileOf('one'), JSON.stringify({ ...second, access_token: 'a.b.c', access_until: 9e15 }))
    expect(await run(['users', 'get', user.email])).toMatchObject({ status: 0, stderr: '' })
    expect(statSync(fileOf('one')).mode & 0o777).toBe(0o600)
    const cutOff = {
      ...readContext('one'),
      auth: `http://127.0.0.1:${freePort()}`,
      access_token: 'a.b.c',
      access_until: 9e15,
    }
    writeFileSync(fileOf('one'), JSON.stringify(cutOff))
    const { status, stderr } = await run(['users', 'get', user.email])
    expect([status, stderr]).toEqual([7, expect.stringContaining(`no response from ${cutOff.auth}`)])
  })

  test('survives many commands that refresh it at once', async () => {
    await login([system.url.auth, '--name', 'one'])
    for (let round = 0; round < (WHOLE ? 2 : 1); round++) {
      writeFileSync(fileOf('one'), JSON.stringify({ ...readContext('one'), access_until: 0 }))
      const all = await Promise.all(Array.from({ length: 5 }, () => run(['users', 'get', user.email, '-o', 'ids'])))
      expect(all.map(({ status, stderr }) => [status, stderr])).toEqual(all.map(() => [0, '']))
    }
    expect(names()).toEqual(['one.json'])
  })

  test('survives a command that was killed in the middle of a refresh', async () => {
    await login([system.url.auth, '--name', 'one'])
    writeFileSync(`${fileOf('one')}.lock`, '999999999\n')
    writeFileSync(fileOf('one'), JSON.stringify({ ...readContext('one'), access_until: 0 }))
    expect((await run(['users', 'get', user.email])).status).toBe(0)
    expect(names()).toEqual(['one.json'])
  })

  test('ended by the instance gives exit status 4, and suggests the login command', async () => {
    await login([system.url.auth, '--name', 'one'])
    await call(system.url.auth, `DELETE /auth/sessions?user_id=${admin.id}`, { headers: as.operator })
    const login4 = `ch202 login ${system.url.auth} --name one`
    const ended = await run(['users', 'list'])
    expect([ended.status, ended.stdout]).toEqual([4, ''])
    expect(ended.stderr).toContain(`→ ${login4}`)
    const list = await run(['users', 'list', '-o', 'json'])
    expect([list.status, json(list)]).toEqual([
      4,
      { ok: false, error: expect.objectContaining({ suggestion: login4 }) },
    ])
  })

  test('in a malformed file gives an error that quotes nothing of the file', async () => {
    await login([system.url.auth, '--name', 'one'])
    const contents = ['{"access_token":"abc-secret', '{"access_token":"abc-secret"}', 'null', '[]']
    for (const broken of sliced(contents, 3)) {
      writeFileSync(fileOf('one'), broken)
      const { status, stderr } = await runTool(['status'], { env: { XDG_CONFIG_HOME: home } })
      expect([status, stderr.includes('abc-secret')]).toEqual([1, false])
      expect(stderr).toContain(`${fileOf('one')} cannot be read`)
    }
    // A command with another address works all the same.
    const env = { OPERATOR_API_KEY: as.operator['x-api-key'] }
    writeFileSync(fileOf('one'), '{')
    expect(await runTool(['context', 'use', 'local'], { env: { XDG_CONFIG_HOME: home, ...env } })).toMatchObject({
      status: 0,
    })
  })
})

describe('a context', () => {
  test('is listed, selected and removed; its session stays valid', async () => {
    await login([system.url.auth, '--name', 'one'])
    await login([proxy.local, '--name', 'two'])
    const list = async () =>
      json(await run(['context', 'list', '-o', 'json'])).items.map((item: { name: string; current: boolean }) =>
        item.current ? `*${item.name}` : item.name,
      )
    expect(await list()).toEqual(['local', 'one', '*two'])
    const use = async (name: string) => json(await run(['context', 'use', name, '-o', 'json'])).changed
    expect([await use('one'), await use('one'), await list()]).toEqual([true, false, ['local', '*one', 'two']])
    expect([await use('local'), await list()]).toEqual([true, ['*local', 'one', 'two']])
    const none = await run(['context', 'use', 'three'])
    expect([none.status, none.stderr]).toEqual([3, expect.stringContaining('→ ch202 context list')])

    const { session_id } = readContext('one')
    const removed = await run(['context', 'remove', 'one'])
    expect([removed.status, removed.stderr]).toEqual([0, expect.stringContaining(`sessions revoke ${session_id}`)])
    expect((await sessionsOf(admin.id)).some(({ id }) => id === session_id)).toBe(true)
    expect(json(await run(['context', 'remove', 'one', '-o', 'json'])).changed).toBe(false)
    expect(await list()).toEqual(['*local', 'two'])
  })

  test('is the selected one if two have the same address', async () => {
    await login([system.url.auth, '--name', 'a'])
    const other = await createUser(system, { roles: ['ADMIN'] })
    await login([system.url.auth, '--name', 'b'], { email: other.email })
    const who = async () => json(await run(['status', '-o', 'json'])).email
    expect(await who()).toBe(other.email)
    await run(['context', 'use', 'a'])
    expect(await who()).toBe(admin.email)
  })

  test('that is deleted while it is selected is not replaced by the local instance', async () => {
    mkdirSync(join(home, 'ch202'), { recursive: true })
    writeFileSync(join(home, 'ch202', 'current.json'), '{"context":"prod"}')
    const env = { CH202_DATA_DIR: system.dataDir }
    const { status, stderr } = await run(['users', 'list'], { env })
    expect([status, stderr]).toEqual([4, expect.stringContaining('→ ch202 context use local')])
    expect((await run(['context', 'use', 'local'], { env })).status).toBe(0)
  })
})

describe('status', () => {
  test('reports the instance, the credential, and whether the credential is valid', async () => {
    const urls = { AUTH_URL: system.url.auth, USERS_URL: system.url.users, MODULES_URL: system.url.modules }
    const key = as.operator['x-api-key']
    const nowhere = { CH202_URL: `http://127.0.0.1:${freePort()}`, OPERATOR_API_KEY: key }
    const up = { auth: 'up', users: 'up', modules: 'up' }
    const table: [Record<string, string>, number, object][] = [
      [{ ...urls, OPERATOR_API_KEY: key }, 0, { ok: true, credential: 'key', credential_from: 'OPERATOR_API_KEY' }],
      [
        { ...urls, OPERATOR_API_KEY: 'wrong' },
        4,
        { ok: false, error: expect.objectContaining({ code: 'invalid_api_key' }) },
      ],
      [{ ...urls, CH202_TOKEN: 'wrong' }, 4, { ok: false, services: up }],
      [{ ...urls }, 4, { ok: false, credential: null, services: up }],
      [nowhere, 7, { ok: false, services: { auth: 'down', users: 'down', modules: 'down' } }],
      [{ ...nowhere, ...urls, MODULES_URL: nowhere.CH202_URL }, 0, { services: { ...up, modules: 'down' } }],
    ]
    const results = await Promise.all(table.map(([env]) => run(['status', '-o', 'json'], { env })))
    for (const [at, [, status, expected]] of table.entries()) {
      expect([at, results[at]?.status, results[at]?.stderr]).toEqual([at, status, ''])
      expect(JSON.parse(results[at]?.stdout ?? '')).toMatchObject(expected)
      expect([at, results[at]?.stdout.includes(key)]).toEqual([at, false])
    }
    const body = { login: admin.email, password: PASSWORD }
    const { access_token } = (await call(system.url.auth, 'POST /api/v1/auth/login', { body })).body
    const token = await run(['status', '-o', 'json'], { env: { ...urls, CH202_TOKEN: access_token } })
    expect(json(token)).toMatchObject({ credential: 'token', email: admin.email, session_until: expect.any(String) })
    expect(token.stdout.includes(access_token)).toBe(false)

    await login([system.url.auth, '--name', 'one'])
    const { stdout } = await run(['status'])
    for (const line of [
      `email +${admin.email}`,
      'credential_from +context one',
      'roles +USER,ADMIN',
      'session_until +2',
    ])
      expect(stdout).toMatch(new RegExp(`^${line}`, 'm'))
    const refused = await run(['status'], { env: { ...urls, OPERATOR_API_KEY: 'wrong' } })
    expect([refused.status, refused.stderr]).toEqual([4, expect.stringMatching(/^✗ .*invalid_api_key/)])
  })
})

describe('the instance of a command', () => {
  /** Sources of the address, in order of precedence. */
  const WAYS = ['flag', 'AUTH_URL', 'CH202_URL', 'context', 'running'] as const
  const at: Record<(typeof WAYS)[number], string> = {
    flag: 'http://127.0.0.1:1',
    AUTH_URL: 'http://127.0.0.1:2',
    CH202_URL: 'http://127.0.0.1:3',
    context: 'http://127.0.0.1:4',
    running: 'http://127.0.0.1:5',
  }
  const context = {
    ...{ auth: at.context, users: at.context, modules: at.context },
    ...{ email: 'a@example.org', user_id: 'u', session_id: 's', access_token: 't', refresh_token: 'r' },
    ...{ access_until: 9e15, session_until: 9e15 },
  }

  test('comes from flag, environment, context, running instance or default, in this order', async () => {
    for (let mask = 0; mask < 2 ** WAYS.length; mask++) {
      const subset = WAYS.filter((_, bit) => mask & (1 << bit))
      const has = (way: (typeof WAYS)[number]) => subset.includes(way)
      const [config, dataDir] = [folder.fresh(), folder.fresh()]
      mkdirSync(join(config, 'ch202', 'contexts'), { recursive: true })
      mkdirSync(join(dataDir, 'run'), { recursive: true })
      if (has('context')) {
        writeFileSync(join(config, 'ch202', 'contexts', 'c.json'), JSON.stringify(context))
        writeFileSync(join(config, 'ch202', 'current.json'), '{"context":"c"}')
      }
      for (const place of has('running') ? ['auth', 'users', 'modules'] : [])
        writeFileSync(join(dataDir, 'run', `${place}.json`), JSON.stringify({ url: at.running }))
      const env = {
        XDG_CONFIG_HOME: config,
        CH202_DATA_DIR: dataDir,
        ...(has('AUTH_URL') ? { AUTH_URL: at.AUTH_URL } : {}),
        ...(has('CH202_URL') ? { CH202_URL: at.CH202_URL } : {}),
      }
      const { addresses, credential } = await connect(has('flag') ? at.flag : undefined, env)
      expect([subset, addresses.auth.value]).toEqual([subset, subset[0] ? at[subset[0]] : 'http://127.0.0.1:3001'])
      // AUTH_URL is the address of auth only.
      const others = subset.filter((way) => way !== 'AUTH_URL')
      expect([subset, addresses.users.value]).toEqual([subset, others[0] ? at[others[0]] : 'http://127.0.0.1:3002'])
      // The session is sent only to the instance that opened it.
      const isThere = subset[0] === 'context'
      expect([subset, credential?.kind]).toEqual([subset, isThere ? 'session' : undefined])
    }
  })

  test('gets the token, the API key, the session or the key of the data directory, in this order', async () => {
    const ways = ['CH202_TOKEN', 'OPERATOR_API_KEY', 'context', 'secrets'] as const
    for (let mask = 0; mask < 2 ** ways.length; mask++) {
      const subset = ways.filter((_, bit) => mask & (1 << bit))
      const [config, dataDir] = [folder.fresh(), folder.fresh()]
      mkdirSync(join(config, 'ch202', 'contexts'), { recursive: true })
      mkdirSync(dataDir)
      if (subset.includes('context')) {
        writeFileSync(join(config, 'ch202', 'contexts', 'c.json'), JSON.stringify(context))
        writeFileSync(join(config, 'ch202', 'current.json'), '{"context":"c"}')
      }
      if (subset.includes('secrets')) writeFileSync(join(dataDir, 'secrets.env'), 'OPERATOR_API_KEY=kept\n')
      const variables = subset.filter((way) => way === 'CH202_TOKEN' || way === 'OPERATOR_API_KEY')
      const env = {
        XDG_CONFIG_HOME: config,
        CH202_DATA_DIR: dataDir,
        ...Object.fromEntries(variables.map((name) => [name, `${name}-value`])),
      }
      const { credential } = await connect(undefined, env)
      const actual: object | null = credential && { kind: credential.kind, origin: credential.origin }
      const expected = {
        CH202_TOKEN: { kind: 'token', origin: 'CH202_TOKEN' },
        OPERATOR_API_KEY: { kind: 'key', origin: 'OPERATOR_API_KEY' },
        context: { kind: 'session', origin: 'context c' },
        secrets: { kind: 'key', origin: `${dataDir}/secrets.env` },
      }
      expect([subset, actual]).toEqual([subset, subset[0] ? expected[subset[0]] : null])
    }
  })

  test('never gets the key of the data directory if it is on another machine', async () => {
    const key = 'key-of-the-data-directory-0123456789abcdef'
    const dataDir = folder.fresh()
    mkdirSync(dataDir)
    writeFileSync(join(dataDir, 'secrets.env'), `OPERATOR_API_KEY=${key}\n`)
    chmodSync(join(dataDir, 'secrets.env'), 0o600)
    let metadata: object = {}
    const foreignServer = record(({ url }) =>
      url.includes('.well-known')
        ? Response.json(metadata)
        : new Response(null, { status: 302, headers: { location: `${foreignServer.elsewhere}/taken` } }),
    )
    const sent = () => foreignServer.seen.some(({ headers }) => JSON.stringify(headers).includes(key))
    const { elsewhere, local } = foreignServer
    const base = { CH202_DATA_DIR: dataDir }
    const tries: [string[], Record<string, string>][] = [
      [['--url', elsewhere], {}],
      [[], { CH202_URL: elsewhere }],
      [[], { AUTH_URL: elsewhere, USERS_URL: elsewhere, MODULES_URL: elsewhere }],
      [[], { AUTH_URL: local, USERS_URL: elsewhere, MODULES_URL: local }],
    ]
    for (const [words, env] of tries) {
      const ended = await run([...words, 'users', 'list'], { env: { ...base, ...env } })
      expect([words, env, ended.status, sent()]).toEqual([words, env, 4, false])
      expect(ended.stderr).toContain('→ ch202 login')
    }
    metadata = { ch202: { auth: local, users: elsewhere, modules: elsewhere } }
    expect((await run(['--url', local, 'users', 'list'], { env: base })).status).toBe(4)
    expect(sent()).toBe(false)

    // The key is sent here, which shows that the test sees it; a redirection does not forward it.
    metadata = {}
    await run(['--url', local, 'users', 'list'], { env: base })
    expect([sent(), foreignServer.seen.some(({ path }) => path === '/taken')]).toEqual([true, false])
    await foreignServer.server.stop(true)
  })

  test('is found by the data directory of the running services', async () => {
    const env = { CH202_DATA_DIR: system.dataDir, OPERATOR_API_KEY: as.operator['x-api-key'] }
    expect(json(await run(['status', '-o', 'json'], { env }))).toMatchObject({
      ...system.url,
      addresses_from: [`${system.dataDir}/run`],
    })
  })
})
