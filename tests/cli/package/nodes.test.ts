import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { isAlive } from '../../../cli/client/instance/process.ts'
import { addressSetting } from '../../../services/kit/process/service-address.ts'
import { withTimeout } from '../../../services/kit/timeout.ts'
import { ofEachService, SERVICE_NAMES, SERVICES_WITH_DATABASE, type ServiceName } from '../../../services/registry.ts'
import { createUser, logIn, PASSWORD, type TestUser } from '../../support/actors.ts'
import { Visitor } from '../../support/browser/visitor.ts'
import { eventually } from '../../support/eventually.ts'
import { as, call } from '../../support/http.ts'
import { type PostgresServer, startPostgres } from '../../support/postgres/server.ts'
import { freePort } from '../../support/servers/ports.ts'
import { launch, ownSettings, type Running, runTool, temporary } from '../../support/tool.ts'
import { sliced } from '../../support/whole.ts'
import { need, run } from './programs.ts'

// What `ch202 package` writes for several machines: units with the settings of each, and a Caddyfile that balances.

setDefaultTimeout(300_000)

const folder = temporary('package-nodes')
afterAll(() => folder.remove())

const DATABASE = { DATABASE_URL: 'postgres://ch202:hidden@db.example.org:5432/ch202' }
const caddy = () => need('caddy', 'caddy')
const tool = (words: string, env: Record<string, string> = DATABASE) =>
  runTool(words.split(' ').filter(Boolean), { env })

/** Starts Caddy with a Caddyfile of the tool. */
function startCaddy(file: string): Running {
  const config = `${file}.all`
  writeFileSync(config, `{\n\tadmin off\n}\nimport ${file}\n`)
  const home = folder.fresh()
  return launch([caddy(), 'run', '--adapter', 'caddyfile', '--config', config], {
    env: { HOME: home, XDG_DATA_HOME: home, XDG_CONFIG_HOME: home },
  })
}

/** The settings that a unit has for its machine. */
function settingsIn(unit: string): Record<string, string> {
  const settings = [...unit.matchAll(/^Environment=(NODE_NAME|\w+_LISTEN)=(.*)$/gm)]
  return Object.fromEntries(settings.map(([, name, value]) => [name, value]))
}

async function units(options: string, env: Record<string, string> = DATABASE): Promise<Record<string, string>> {
  const { status, stderr, stdout } = await tool(`package systemd ${options} -o json`, env)
  expect([status, stderr]).toEqual([0, ''])
  const items: { path: string; content: string }[] = JSON.parse(stdout).items
  return Object.fromEntries(
    items.map(({ content, path }) => [path.replace(/^ch202-|\.(service|target)$/g, ''), content]),
  )
}

describe('package systemd --host', () => {
  test('lets each service listen on the machine, at the port of its address', async () => {
    const {
      auth = '',
      modules = '',
      users = '',
    } = await units('--host 10.0.0.1', {
      ...DATABASE,
      AUTH_URL: 'http://127.0.0.1:4001',
      USERS_URL: 'https://users.example.org',
      USERS_LISTEN: '10.0.0.9:4002',
    })
    expect(settingsIn(auth)).toEqual({ NODE_NAME: '%l', AUTH_LISTEN: '10.0.0.1:4001' })
    expect(settingsIn(users)).toEqual({ NODE_NAME: '%l', USERS_LISTEN: '10.0.0.1:4002' })
    expect(settingsIn(modules)).toEqual({ NODE_NAME: '%l', MODULES_LISTEN: '10.0.0.1:3003' })
    expect(auth).not.toContain('hidden')
  })

  test('is not needed for a name, which a node otherwise has from its host', async () => {
    expect(settingsIn((await units('--node-name node-a')).auth ?? '')).toEqual({ NODE_NAME: 'node-a' })
    expect(settingsIn((await units('')).auth ?? '')).toEqual({ NODE_NAME: '%l' })
    expect(settingsIn((await units('', {})).auth ?? '')).toEqual({})
  })

  test('makes units that are valid for systemd', async () => {
    const directory = folder.fresh()
    const exec = need('true', 'coreutils')
    expect((await tool(`package systemd --host [fd00::1] --exec ${exec} --out ${directory}`)).status).toBe(0)
    const files = [...SERVICE_NAMES.map((name) => `ch202-${name}.service`), 'ch202.target']
    const paths = files.map((name) => join(directory, name))
    const { status, stderr, stdout } = await run([need('systemd-analyze', 'systemd'), 'verify', '--man=no', ...paths])
    expect([status, stdout, stderr]).toEqual([0, '', ''])
    expect(readFileSync(paths[0] ?? '', 'utf8')).toContain('\nEnvironment=AUTH_LISTEN=[fd00::1]:3001\n')
  })

  const refused: [options: string, env: Record<string, string>, text: string][] = [
    ['--host 10.0.0.1', {}, 'set DATABASE_URL'],
    ['--node-name a', {}, 'set DATABASE_URL'],
    ['--host http://10.0.0.1', DATABASE, '--host must be'],
    ['--host 10.0.0.1:3001', DATABASE, '--host must be'],
    ['--node-name a%b', DATABASE, '--node-name must be'],
  ]
  test.each(sliced(refused, 2))('%s is refused', async (options, env, text) => {
    const { status, stderr, stdout } = await tool(`package systemd ${options}`, env)
    expect([status, stdout, stderr]).toEqual([2, '', expect.stringContaining(text)])
  })
})

describe('package caddy --hosts', () => {
  const HOSTS = '--hosts 10.0.0.1,10.0.0.2,node-c.example.org'
  test.each(['', ' --domain id.example.org', ' --domain http://[::1]:8080 --admin', ' --url http://127.0.0.1:3000'])(
    'is valid and formatted, with%s',
    async (options) => {
      const file = join(folder.path, 'Caddyfile')
      expect((await tool(`package caddy ${HOSTS}${options} --out ${file}`)).status).toBe(0)
      const { status, stderr, stdout } = await run([caddy(), 'validate', '--adapter', 'caddyfile', '--config', file])
      expect([status, stdout + stderr]).toEqual([0, expect.not.stringMatching(/"level":"(warn|error)"|WARN|ERROR/)])
      expect((await run([caddy(), 'fmt', file])).stdout).toBe(readFileSync(file, 'utf8'))
    },
  )

  test('names the nodes by the ports at which they listen, and listens itself at the addresses of the services', async () => {
    const env = { ...DATABASE, AUTH_URL: 'http://127.0.0.1:4001', USERS_LISTEN: '10.0.0.9:4002' }
    const { stdout } = await tool(`package caddy ${HOSTS}`, env)
    const at = (port: number) => ['10.0.0.1', '10.0.0.2', 'node-c.example.org'].map((host) => `http://${host}:${port}`)
    const proxied = new Set([...stdout.matchAll(/reverse_proxy (.*) \{/g)].map((match) => match[1]))
    expect(proxied).toEqual(new Set([4001, 4002, 3003, 3000].map((port) => at(port).join(' '))))
    const sites = [...stdout.matchAll(/^(http\S*) \{\n\tbind (.*)$/gm)].map(([, site, bind]) => [site, bind])
    expect(sites).toEqual([
      ['http://127.0.0.1:4001', '127.0.0.1'],
      ['http://127.0.0.1:3002', '127.0.0.1'],
      ['http://127.0.0.1:3003', '127.0.0.1'],
      ['http://127.0.0.1:3000', '127.0.0.1'],
    ])
    // In one process the services call each other without Caddy.
    expect((await tool(`package caddy ${HOSTS} --url http://127.0.0.1:3000`)).stdout).not.toContain('bind ')
    expect((await tool('package caddy --hosts 10.0.0.1')).stdout).not.toMatch(/bind |health_uri/)
  })

  const refused: [options: string, env: Record<string, string>, text: string][] = [
    ['--hosts 10.0.0.1,10.0.0.2', {}, 'set DATABASE_URL'],
    ['--hosts 10.0.0.1,x{}', DATABASE, '--hosts must be'],
    ['--hosts 10.0.0.1,', DATABASE, '--hosts must be'],
    [
      '--hosts 10.0.0.1,10.0.0.2',
      { ...DATABASE, AUTH_URL: 'http://10.0.0.2:3001' },
      'AUTH_URL is the address of one node',
    ],
  ]
  test.each(sliced(refused, 2))('%s is refused', async (options, env, text) => {
    const { status, stderr, stdout } = await tool(`package caddy ${options}`, env)
    expect([status, stdout, stderr]).toEqual([2, '', expect.stringContaining(text)])
  })
})

describe('a request that a node has received, without an answer,', () => {
  const MACHINES = ['127.0.0.2', '127.0.0.3']
  const site = `http://127.0.0.1:${freePort()}`
  const port = freePort()
  let received: string[] = []
  /** Nodes that are ready, and break the connection of every request. */
  const standIns = MACHINES.map((host) =>
    createServer((request, response) => {
      if (request.url?.startsWith('/health')) return response.end()
      received.push(`${request.method} ${request.url}`)
      return request.socket.destroy()
    }).listen(port, host),
  )
  let proxy: Running
  beforeAll(async () => {
    const file = join(folder.path, 'stand-ins.caddy')
    const settings = { ...DATABASE, AUTH_URL: `http://127.0.0.1:${port}` }
    await tool(`package caddy --hosts ${MACHINES} --domain ${site} --out ${file}`, settings)
    proxy = startCaddy(file)
    // It answers when its ports are open.
    await eventually(() => call(site, 'GET /nope').catch(() => undefined))
  })
  afterAll(async () => {
    proxy?.signal('SIGKILL')
    await proxy?.ended
    for (const standIn of standIns) standIn.close()
  })

  test.each([
    ['POST /auth/login', { body: { login: 'ana', password: 'a password' } }],
    ['POST /auth/logout', {}],
    ['DELETE /auth/sessions/01900000-0000-7000-8000-000000000000', {}],
  ])('is sent to no other one: %s', async (request, options) => {
    received = []
    const { body, headers, status } = await call(site, request, options)
    expect([status, body.code, headers.get('retry-after')]).toEqual([503, 'overloaded', '1'])
    expect(received).toEqual([request])
  })

  test('is sent to the others if it is a GET', async () => {
    received = []
    expect((await call(site, 'GET /auth/me')).status).toBe(503)
    expect(received.length).toBeGreaterThan(MACHINES.length)
  })
})

/** Milliseconds after which Caddy sends no requests to a node that is gone: the interval of its checks, and their timeout. */
const HEALTH = 2000

describe('three machines behind the Caddyfile', () => {
  /** Addresses of this machine, each of which stands for one. All of them have the same ports. */
  const MACHINES = ['127.0.0.2', '127.0.0.3', '127.0.0.4']
  const site = `http://127.0.0.1:${freePort()}`
  const nodes = new Map<string, Running>()
  let server: PostgresServer
  let env: Record<string, string>
  let proxy: Running
  let user: TestUser

  /** Every service at the one public address. */
  const system = { url: ofEachService(() => site) }
  const node = (service: ServiceName, machine: string) => {
    const running = nodes.get(`${service} ${machine}`)
    if (!running) throw new Error(`There is no ${service} on ${machine}`)
    return running
  }

  beforeAll(async () => {
    server = await startPostgres()
    env = ownSettings(folder.fresh(), {
      DATABASE_URL: await server.newDatabase(),
      ISSUER: site,
      RATE_LIMIT: 'off',
      // Nodes check tokens without the database for as long as a busy machine needs.
      REVOCATION_MAX_LAG: '10m',
      LOG_LEVEL: 'info',
    })
    const file = join(folder.path, 'nodes.caddy')
    const options = `--hosts ${MACHINES} --domain ${site} --admin --out ${file}`
    expect(await tool(`package caddy ${options}`, env)).toMatchObject({ status: 0, stdout: '' })
    proxy = startCaddy(file)
    for (const [at, machine] of MACHINES.entries()) {
      const ofMachine = await units(`--host ${machine} --node-name machine-${at}`, env)
      const CH202_DATA_DIR = folder.fresh()
      for (const service of SERVICE_NAMES) {
        const settings = { ...env, CH202_DATA_DIR, ...settingsIn(ofMachine[service] ?? '') }
        nodes.set(
          `${service} ${machine}`,
          launch([process.execPath, 'cli/main.ts', 'serve', service], { env: settings }),
        )
      }
    }
    await Promise.all([...nodes.values()].map((running) => running.printed(/ready at/)))
    // Caddy checks each node once a second.
    user = await eventually(() => createUser(system, { roles: ['USER', 'ADMIN'] }).catch(() => undefined))
  })
  afterAll(async () => {
    const all = [proxy, ...nodes.values()].filter((running) => running !== undefined && isAlive(running.pid))
    for (const running of all) running.signal('SIGKILL')
    await Promise.all(all.map((running) => running.ended))
    await server?.stop()
  })

  const bearer = () => as.bearer(user.tokens.access_token)
  const isLive = async () => {
    const { body, status } = await call(site, 'POST /auth/validate-token', {
      body: { token: user.tokens.access_token },
    })
    return status === 200 && body.valid
  }

  test('each node listens on its machine, and none of their addresses is in an answer', async () => {
    for (const service of SERVICE_NAMES)
      for (const machine of MACHINES) {
        const { port } = new URL(env[addressSetting(service)] ?? '')
        expect(node(service, machine).stdout()).toContain(`${service} ready at http://${machine}:${port}\n`)
      }
    const answers = [
      await call(site, 'GET /.well-known/oauth-authorization-server'),
      await call(site, 'GET /.well-known/jwks.json'),
      await call(site, 'POST /users', {
        headers: as.operator,
        body: { email: 'located@example.org', password: 'correct horse battery' },
      }),
      await logIn(system, user.email),
    ]
    for (const { headers, status, text } of answers) {
      expect(status).toBeLessThan(300)
      for (const machine of MACHINES) expect(text + JSON.stringify([...headers])).not.toContain(machine)
    }
    const [, claims = ''] = user.tokens.access_token.split('.')
    expect(JSON.parse(Buffer.from(claims, 'base64url').toString()).iss).toBe(site)
    expect(answers[0]?.body).toMatchObject({ issuer: site, jwks_uri: `${site}/.well-known/jwks.json` })
  })

  test('every node gets requests; ps and doctor find all of them', async () => {
    const isReached = (service: ServiceName, machine: string, path: string) =>
      node(service, machine).stdout().includes(`"path":"${path}"`) || node(service, machine).stdout().includes(path)
    await eventually(async () => {
      await isLive()
      await call(site, `GET /users/${user.id}`, { headers: bearer() })
      await call(site, 'GET /modules', { headers: bearer() })
      await call(site, 'GET /sign-up')
      return MACHINES.every(
        (machine) =>
          isReached('auth', machine, '/auth/validate-token') &&
          isReached('users', machine, '/users/') &&
          isReached('modules', machine, '/modules') &&
          isReached('web', machine, '/sign-up'),
      )
    })
    const expected = SERVICES_WITH_DATABASE.flatMap((service) =>
      MACHINES.map((_, at) => [service, `machine-${at}`, 'up', true]),
    )
    await eventually(async () => {
      const { stdout } = await tool('ps -o json', env)
      const items: Record<string, unknown>[] = JSON.parse(stdout).items
      const rows = items.map(({ node: name, reachable, service, state }) => [service, name, state, reachable])
      return Bun.deepEquals(rows, expected)
    })
    // On a busy machine a node may miss a renewal now and then.
    await eventually(async () => {
      const doctor = await tool('doctor --only nodes -o json', env)
      const checks: { id: string; status: string }[] = JSON.parse(doctor.stdout).items
      return checks.length === 5 && checks.every(({ status }) => status === 'ok')
    })
  })

  test('a person signs in on the pages, whichever machine answers', async () => {
    const visitor = new Visitor(site)
    const seen = await visitor.fillIn('/sign-in', { login: user.email, password: PASSWORD })
    expect([seen.status, seen.at]).toEqual([200, '/account'])
    for (let n = 0; n < MACHINES.length * 2; n++)
      expect((await visitor.open('/account/security')).at).toBe('/account/security')
    expect((await visitor.open('/nothing')).status).toBe(404)
  })

  test('bodies that are too large take no node away from others', async () => {
    const stream = () => {
      let parts = 20
      return new ReadableStream({
        pull: (controller) => (parts-- > 0 ? controller.enqueue(new Uint8Array(50_000)) : controller.close()),
      })
    }
    const headers = { 'content-type': 'application/json' }
    for (let n = 0; n < MACHINES.length * 2; n++) {
      expect((await call(site, 'POST /auth/login', { headers, body: stream() })).status).toBe(413)
      expect(await isLive()).toBe(true)
    }
  })

  test('a node that freezes gets no more requests, and gets them again when it returns', async () => {
    const victim = node('auth', MACHINES[2] ?? '')
    victim.signal('SIGSTOP')
    try {
      // Each node would get several of these; those that the frozen one has got are not waited for.
      await eventually(async () => {
        for (let n = 0; n < MACHINES.length * 3; n++) if (!(await withTimeout(isLive(), 1000))) return false
        return true
      })
    } finally {
      victim.signal('SIGCONT')
    }
    const before = victim.stdout().length
    await eventually(async () => {
      expect(await isLive()).toBe(true)
      return victim.stdout().slice(before).includes('/auth/validate-token')
    })
  })

  test('a node that is killed costs no GET, and no request that begins after the interval of the health checks', async () => {
    interface Result {
      request: string
      /** Milliseconds from the death of the node to the begin of the request. */
      at: number
      status: number
    }
    const results: Result[] = []
    let killedAt = Number.POSITIVE_INFINITY
    let isEnough = false
    const send = async (request: string, options: Parameters<typeof call>[2]) => {
      const startedAt = performance.now()
      const status = await call(site, request, options).then(
        (answer) => answer.status,
        () => 0,
      )
      results.push({ request, at: startedAt - killedAt, status })
    }
    const clients = Promise.all(
      Array.from({ length: 4 }, async () => {
        while (!isEnough) {
          await send('POST /auth/validate-token', { body: { token: user.tokens.access_token } })
          await send('GET /whoami', { headers: bearer() })
          await send('GET /modules', { headers: bearer() })
        }
      }),
    )
    await eventually(() => results.length > 50)
    const victim = node('auth', MACHINES[1] ?? '')
    victim.signal('SIGKILL')
    await victim.ended
    killedAt = performance.now()
    await eventually(() => results.filter(({ at }) => at > HEALTH).length > 200)
    isEnough = true
    await clients
    const failures = results.filter(({ status }) => status !== 200)
    console.log(`${results.length} requests, ${failures.length} of them failed around the death of the node`)
    expect(failures.filter(({ at, request }) => request.startsWith('GET') || at > HEALTH)).toEqual([])
  })

  test('without the database every node still checks tokens, and says what is wrong', async () => {
    await server.kill()
    // No node is ready now: Caddy sends requests to any of them.
    await eventually(async () => {
      const { body, status } = await logIn(system, user.email)
      return status === 503 && body.code === 'database_unavailable'
    })
    for (let n = 0; n < MACHINES.length * 2; n++) expect(await isLive()).toBe(true)
    await server.start()
    await eventually(async () => (await logIn(system, user.email)).status === 200)
  })
})
