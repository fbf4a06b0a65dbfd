import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SMTPServer } from 'smtp-server'
import { createUser, logIn, newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { processes } from '../support/processes.ts'
import { freePort } from '../support/servers/ports.ts'
import { PROXY_VARIABLES, RecordingProxy } from '../support/servers/recording-proxy.ts'
import { addressSettings, INTERNAL_KEY, OPERATOR_KEY } from '../support/settings.ts'
import { openShell, type Shell } from '../support/shell.ts'
import type { System } from '../support/system.ts'
import { launch, ROOT, temporary } from '../support/tool.ts'
import { sliced } from '../support/whole.ts'

setDefaultTimeout(120_000)

const V1 = '/api/v1'
const proxy = new RecordingProxy()
const folder = temporary('proxies')

/** A mail server, and a broker that never answers: the test checks who connects. */
const mailed: string[] = []
const mailPort = freePort()
const mailServer = new SMTPServer({
  authOptional: true,
  disabledCommands: ['STARTTLS', 'AUTH'],
  onData(stream, { envelope }, done) {
    stream.resume()
    stream.on('end', () => {
      mailed.push(...envelope.rcptTo.map(({ address }) => address))
      done()
    })
  },
})
let brokered = ''
const broker = Bun.listen({
  hostname: '127.0.0.1',
  port: 0,
  socket: {
    data(_, bytes) {
      brokered += bytes.toString('latin1')
    },
  },
})

let system: System
beforeAll(async () => {
  await new Promise<void>((resolve) => mailServer.listen(mailPort, '127.0.0.1', resolve))
  system = await processes('apart', {
    ...proxy.environment,
    SMTP_URL: `smtp://127.0.0.1:${mailPort}`,
    AMQP_URL: `amqp://127.0.0.1:${broker.port}`,
    RATE_LIMIT: 'off',
    PUBLIC_URL: 'http://id.example/app',
  })
})
afterAll(async () => {
  await system?.stop()
  proxy.close()
  broker.stop(true)
  await new Promise<void>((resolve) => mailServer.close(resolve))
  folder.remove()
})
beforeEach(() => proxy.forget())

const operator = (body?: unknown) => ({ headers: as.operator, ...(body === undefined ? {} : { body }) })

describe('R1: a proxy in every variable receives no request of', () => {
  test('the services to each other, to the mail server or to the broker', async () => {
    const { auth, modules, users } = system.url
    const { email, id, tokens } = await registerUser(system)
    expect((await logIn(system, email)).status).toBe(200)
    const body = { id: 'proxied', name: 'Proxied', description: 'A module', required_roles: [] }
    expect((await call(modules, `POST ${V1}/modules`, operator(body))).status).toBe(201)
    const { status } = await call(modules, `POST ${V1}/modules/proxied/enable`, operator({ user_id: id }))
    expect(status).toBe(200)
    expect((await call(users, `PATCH ${V1}/users/${id}`, operator({ name: 'Ana' }))).status).toBe(200)
    const reset = await call(auth, `POST ${V1}/auth/password-reset-request`, { body: { email } })
    expect(reset.status).toBe(202)
    await eventually(() => mailed.includes(email) || undefined)
    await eventually(() => brokered.startsWith('AMQP') || undefined)
    // Revoked by auth, and refused by users: the feed works.
    const bearer = { headers: as.bearer(tokens.access_token) }
    expect((await call(users, `GET ${V1}/users/${id}`, bearer)).status).toBe(200)
    expect((await call(auth, `POST ${V1}/auth/logout`, bearer)).status).toBe(204)
    expect((await call(users, `GET ${V1}/users/${id}`, bearer)).body.code).toBe('token_revoked')
    expect((await call(users, `DELETE ${V1}/users/${id}`, operator())).status).toBe(204)
    expect(proxy.received).toEqual([])
  })

  test('the tool', async () => {
    const root = await createUser(system, { roles: ['USER', 'ADMIN'] })
    const shell = openShell('proxies', {
      ...proxy.environment,
      ...addressSettings((name) => system.url[name]),
      CH202_DATA_DIR: system.dataDir,
      OPERATOR_API_KEY: OPERATOR_KEY,
      INTERNAL_API_KEY: INTERNAL_KEY,
      CH202_SECRET: 'secret-of-the-tests-0123456789-0123456789abc',
    })
    try {
      writeFileSync(join(shell.path, 'users.jsonl'), `${JSON.stringify({ email: newEmail(), password: PASSWORD })}\n`)
      await callsOf(shell, root.email)
    } finally {
      shell.close()
    }
    expect(proxy.received).toEqual([])
  })

  test.each(['bun', 'node'])(
    'the guard package on %s, whose service uses the proxy for its own calls',
    async (name) => {
      const runtime = name === 'bun' ? process.execPath : Bun.which(name)
      // Skipped if Node is not installed.
      if (runtime === null) return
      const { env, program } = await guardProgram()
      const { tokens } = await registerUser(system)
      proxy.forget()
      const { status, stderr, stdout } = await launch([runtime, program], {
        cwd: folder.path,
        env: { ...proxy.environment, NODE_USE_ENV_PROXY: '1', ...env, TOKEN: tokens.access_token },
      }).ended
      expect({ status, stderr, stdout: stdout.split('\n') }).toEqual({
        status: 0,
        stderr: '',
        stdout: ['true', 'user', '403', 'proxied', ''],
      })
      // Node's fetch ignores proxies in this version: the service's own dispatcher stands for one.
      expect(proxy.requests).toEqual(name === 'bun' ? ['GET http://only-the-proxy-knows.example/'] : [])
    },
  )
})

/** Every command that sends requests, each with the expected output; in the suite, of those for operators some. */
async function callsOf(shell: Shell, email: string): Promise<void> {
  const { auth } = system.url
  const ofOperators: [line: string, says: RegExp][] = [
    ['ch202 health', /modules/],
    ['ch202 ps', /auth.*up/],
    ['ch202 status -o json', /OPERATOR_API_KEY/],
    ['ch202 users list -o ids', /.{20}/],
    [`printf '${PASSWORD}' | ch202 users create new-one@example.org --password-stdin -o json`, /new-one/],
    ['ch202 users import users.jsonl', /1/],
    ['ch202 users export', /new-one/],
    ['ch202 modules list -o ids', /proxied/],
    ["ch202 api GET '/users?size=1'", /items/],
    ['ch202 cache sync -o json', /changed/],
    ["ch202 complete -- users get ''", /@example\.org/],
    [`ch202 --url ${auth} sessions list -o ids`, /.{20}/],
  ]
  const lines: [line: string, says: RegExp][] = [
    ...sliced(ofOperators, 5),
    [`printf '${PASSWORD}' | ch202 recover ${email} --password-stdin -o json`, /"in_effect": ?true/],
    [`printf '${PASSWORD}' | ch202 login ${auth} --email ${email} --password-stdin --name here`, /here/],
    ['env -u OPERATOR_API_KEY -u AUTH_URL -u USERS_URL -u MODULES_URL -u CH202_URL ch202 users list -o ids', /.{20}/],
    ['ch202 logout here', /here/],
    ['ch202 doctor', /services\.answer/],
  ]
  for (const [line, says] of lines) {
    const { status, stderr, stdout } = await shell.run(line)
    expect({ line, status, stderr: status === 0 ? '' : stderr }).toEqual({ line, status: 0, stderr: '' })
    expect([line, stdout + stderr]).toEqual([line, expect.stringMatching(says)])
  }
}

/** A foreign service with a guard, built as the package is: for Node and for Bun. */
async function guardProgram() {
  const source = join(folder.path, 'service.ts')
  writeFileSync(
    source,
    `import { createGuard } from '${join(ROOT, 'guard/index.ts')}'
    const { AUTH_URL, INTERNAL_API_KEY, TOKEN } = process.env
    if (!process.versions.bun) {
      // A global dispatcher, as an application sets with undici: every fetch uses it.
      const dispatch = () => { throw new Error('the guard went through the dispatcher of the application') }
      globalThis[Symbol.for('undici.globalDispatcher.1')] = { dispatch }
    }
    const guard = createGuard({ url: AUTH_URL, internalKey: INTERNAL_API_KEY })
    console.log(await guard.ready())
    const check = (rule) => guard.check(new Request('http://localhost/', { headers: { authorization: 'Bearer ' + TOKEN } }), rule)
    const { caller } = await check({ auth: 'user' })
    console.log(caller.actor.split(':')[0])
    console.log((await check({ auth: 'user', module: 'nothing' })).response.status)
    const own = await fetch('http://only-the-proxy-knows.example/').then(({ status }) => status, ({ cause }) => String(cause))
    console.log(own === 204 || /dispatcher of the application/.test(own) ? 'proxied' : own)
    await guard.close()
    `,
  )
  const built = await Bun.build({ entrypoints: [source], outdir: folder.fresh(), target: 'node', naming: '[name].mjs' })
  const program = built.outputs[0]?.path ?? ''
  return { program, env: { AUTH_URL: system.url.auth, INTERNAL_API_KEY: INTERNAL_KEY } }
}

describe('R1: a webhook', () => {
  let arrived = 0
  const answer = () => {
    arrived++
    return new Response(null, { status: 204 })
  }
  const receiver = Bun.serve({ hostname: '::', port: 0, fetch: answer })
  afterAll(() => receiver.stop(true))

  /** Requests at the proxy after an event for a webhook at this address, once `happened`. */
  const announced = async (url: string, happened: (id: string) => Promise<boolean> | boolean) => {
    const body = { url, types: ['user.created'] }
    const webhook = await call(system.url.auth, `POST ${V1}/admin/webhooks`, operator(body))
    expect([url, webhook.status]).toEqual([url, 201])
    await registerUser(system)
    await eventually(async () => (await happened(webhook.body.id)) || undefined)
    await call(system.url.auth, `DELETE ${V1}/admin/webhooks/${webhook.body.id}`, operator())
    return [...proxy.requests]
  }

  test.each(['127.0.0.1', '127.1.2.3', '0.0.0.0', 'localhost', 'localhost.', '[::1]', '[::ffff:127.0.0.1]'])(
    'of this machine, at %s, bypasses the proxy',
    async (host) => {
      const before = arrived
      expect(await announced(`http://${host}:${receiver.port}/hook`, () => arrived > before)).toEqual([])
    },
  )

  test('at a host of the settings bypasses the proxy, whatever the port', async () => {
    const tried = async (id: string) => {
      const path = `${V1}/admin/webhooks/deliveries?webhook=${id}`
      const [delivery] = (await call(system.url.auth, `GET ${path}`, operator())).body.items
      return delivery?.tries > 0
    }
    expect(await announced('http://ID.example:8080/hook', tried)).toEqual([])
  })

  test.each([
    ['http://hooks.example/hook', 'POST http://hooks.example/hook'],
    ['https://hooks.example/hook', 'CONNECT hooks.example:443'],
  ])('of another machine, at %s, goes through the proxy', async (url, request) => {
    expect(await announced(url, () => proxy.requests.length > 0)).toContain(request)
  })
})

describe('R1: the doctor', () => {
  test.each(sliced(PROXY_VARIABLES, 3).map((name) => [name]))('reports %s without its value', async (name) => {
    const words = ['doctor', '--only', 'settings.outgoing', '-o', 'json']
    const env = { CH202_DATA_DIR: folder.fresh(), [name]: proxy.url }
    const { status, stdout } = await launch([process.execPath, 'cli/main.ts', ...words], { env }).ended
    const { items } = JSON.parse(stdout)
    expect([status, items[0].status, items[0].message]).toEqual([0, 'ok', expect.stringContaining(`${name} is set`)])
    expect(stdout).not.toContain('password-of-the-proxy')
    expect(stdout).not.toContain('127.0.0.1')
  })
})
