import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, expect, setDefaultTimeout, spyOn, test } from 'bun:test'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openLog } from '../../services/kit/log.ts'
import { systemRandom } from '../../services/kit/random.ts'
import { Sealing } from '../../services/kit/tokens/sealing.ts'
import { newEmail } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { type Answer, as, call } from '../support/http.ts'
import { RESET_PAGE, readMail } from '../support/mails.ts'
import { processes } from '../support/processes.ts'
import { distinctRoutes, servedRoutes } from '../support/routes.ts'
import { addressSettings, type Name } from '../support/settings.ts'
import type { System } from '../support/system.ts'
import { processesWith, runTool, temporary } from '../support/tool.ts'
import { sliced } from '../support/whole.ts'
import { Canaries, filesUnder, openUnder } from './canaries.ts'
import { EchoingMailServer } from './echoing-mail-server.ts'

setDefaultTimeout(120_000)

const NAMES = ['auth', 'users', 'modules'] as const
const INTERNAL = 'canary-internal-2wD7kP9sX4nB6vM1qZ8r'
const OPERATOR = 'canary-operator-5tG3hJ8kL1zX7cV4bN6m'
const METRICS = 'canary-metrics-8mN3bV6cX1zL5kJ9hG2f'
const SECRET = 'canary-secret-9qW2eR6tY4uI8oP1aS5dF3g'
const MAIL_PASSWORD = 'canary-mail-6hK4jL8pQ2wE'
/** A value that clients send wherever a secret belongs, or does not. */
const TYPED = 'canary-typed-3xC9vB5nM7kJ'
const PASSWORDS = ['canary-first-4fD8sA2gH6j', 'canary-second-7yU3iO9pL5k', 'canary-third-1zX6cV8bN4m'] as const
const [FIRST, SECOND, THIRD] = PASSWORDS
const asOperator = { 'x-api-key': OPERATOR }
const asInternal = { 'x-api-key': INTERNAL }
const TOKENS = ['access token', 'signature', 'refresh token', 'code of a refresh token', 'refresh token of v0']

const canaries = new Canaries()
const mailServer = new EchoingMailServer()
const folder = temporary('secrets')
const config = join(folder.path, 'config')
const mask = process.umask()
/** A proxy between auth and users: forwards, or gives a wrong answer that repeats the request. */
let garble: ((requestText: string) => Response) | undefined
let between: ReturnType<typeof Bun.serve> | undefined
let system: System
/** Answers with the secrets in them, except those that the caller requested. */
const answers: [line: string, found: string[]][] = []
let toolOutput = ''

/** @param ownSecrets secrets that this answer is meant to contain */
async function ask(
  name: Name,
  line: string,
  options: Parameters<typeof call>[2] = {},
  ownSecrets: readonly string[] = [],
) {
  const answer = await call(system.url[name], line.replace(' /', ' /api/v1/'), options)
  const text = answer.text + JSON.stringify([...answer.headers])
  answers.push([`${line} → ${answer.status}`, canaries.in(text, ownSecrets)])
  return answer
}

function noteTokens({ access_token, refresh_token }: { access_token: string; refresh_token: string }) {
  canaries.add('access token', access_token)
  canaries.add('signature', Buffer.from(access_token.split('.')[2] ?? '', 'base64url'))
  canaries.add('refresh token', refresh_token)
  canaries.add(
    'code of a refresh token',
    Buffer.from(refresh_token.replace('ch202_rt_', ''), 'base64url').subarray(-32),
  )
}

async function logIn(email: string, password: string): Promise<Answer['body']> {
  const { body } = await ask('auth', 'POST /auth/login', { body: { login: email, password } }, TOKENS)
  noteTokens(body)
  return body
}

async function tool(words: string[], stdin?: string, env: Record<string, string> = {}) {
  const settings = {
    XDG_CONFIG_HOME: config,
    CH202_DATA_DIR: system.dataDir,
    ...addressSettings((name) => system.url[name]),
    INTERNAL_API_KEY: INTERNAL,
    OPERATOR_API_KEY: OPERATOR,
    METRICS_API_KEY: METRICS,
    CH202_SECRET: SECRET,
    SMTP_URL: `smtp://mailer:${MAIL_PASSWORD}@127.0.0.1:1`,
    ...env,
  }
  const { status, stderr, stdout } = await runTool(words, { env: settings, ...(stdin === undefined ? {} : { stdin }) })
  toolOutput += stdout + stderr
  answers.push([`ch202 ${words.join(' ')} → ${status}`, canaries.in(stdout + stderr)])
  return { status, stderr, stdout }
}

beforeAll(async () => {
  for (const [what, secret] of [
    ['internal key', INTERNAL],
    ['operator key', OPERATOR],
    ['key for metrics', METRICS],
    ['CH202_SECRET', SECRET],
    ['password of the mail server', MAIL_PASSWORD],
    ['what was typed', TYPED],
    ...PASSWORDS.map((password) => ['password', password] as const),
  ] as const)
    canaries.add(what, secret)
  const mailPort = await mailServer.start()
  // No umask: the services and the tool must restrict their files themselves.
  process.umask(0)
  let users = ''
  between = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const body = await request.text()
      const { pathname, search } = new URL(request.url)
      if (garble) return garble(`${JSON.stringify([...request.headers])} ${body}`)
      return fetch(users + pathname + search, {
        method: request.method,
        headers: request.headers,
        ...(body ? { body } : {}),
        // The service has not started yet.
      }).catch(() => new Response(null, { status: 503 }))
    },
  })
  const settings = {
    INTERNAL_API_KEY: INTERNAL,
    OPERATOR_API_KEY: OPERATOR,
    METRICS_API_KEY: METRICS,
    CH202_SECRET: SECRET,
    SMTP_URL: `smtp://mailer:${MAIL_PASSWORD}@127.0.0.1:${mailPort}`,
    LOG_LEVEL: 'trace',
    RATE_LIMIT: 'off',
  }
  system = await processes('apart', settings, {
    settingsOf(name, url) {
      users = url.users
      return name === 'auth' ? { USERS_URL: `http://127.0.0.1:${between?.port}` } : {}
    },
  })
})
afterAll(async () => {
  process.umask(mask)
  await system?.stop()
  await between?.stop(true)
  mailServer.stop()
  folder.remove()
})

/** The tokens of all links that were mailed, to this page. */
const mailedTokens = (page: string) =>
  mailServer.received.flatMap((mail) => new RegExp(`/${page}\\?token=([\\w-]+)`).exec(readMail(mail))?.[1] ?? [])
const resetTokens = () => mailedTokens(RESET_PAGE)

/** Whether the newest mail of a reset was tried. Notices and verifications are mailed too, at any time. */
const isAttempted = async () => {
  const request = 'GET /api/v1/admin/mails?kind=password_reset&size=1'
  const [newest] = (await call(system.url.auth, request, { headers: asOperator })).body.items
  return newest.tries > 0 || newest.status !== 'queued'
}

test('check 38: the services are used, rightly and wrongly, while a backup is made', async () => {
  const email = newEmail()
  const registered = await ask('auth', 'POST /auth/register', { body: { email, password: FIRST } }, TOKENS)
  const { id } = registered.body
  noteTokens(registered.body.tokens)
  const login = await logIn(email, FIRST)
  const refreshed = (await ask('auth', 'POST /auth/refresh', { body: { refresh_token: login.refresh_token } }, TOKENS))
    .body
  noteTokens(refreshed)
  const v0 = (await call(system.url.auth, 'POST /auth/login', { body: { email, password: FIRST } })).body
  canaries.add('refresh token of v0', v0.refreshToken.token)
  canaries.add('refresh token of v0', Buffer.from(v0.refreshToken.token.replaceAll('-', ''), 'hex'))
  canaries.add('access token', v0.accessToken)
  const bearer = as.bearer(refreshed.access_token)
  await ask('auth', 'GET /auth/me', { headers: bearer })
  await ask('auth', 'POST /auth/introspect', {
    headers: { ...asInternal, 'content-type': 'application/x-www-form-urlencoded' },
    body: `token=${refreshed.refresh_token}`,
  })
  await ask('users', `POST /users/${id}/change-password`, {
    headers: bearer,
    body: { current_password: FIRST, new_password: SECOND },
  })
  await ask('users', `POST /users/${id}/set-password`, { headers: asOperator, body: { new_password: FIRST } })
  await ask('auth', 'POST /admin/keys/rotate?now=true', { headers: asOperator })
  const hash = await ask('users', `GET /users/${id}/password-hash`, { headers: asInternal }, ['hash'])
  canaries.add('hash', hash.body.password_hash)

  // A mail server that repeats everything, at the login and at the mail, and then accepts a mail.
  for (const behavior of ['refuses the login', 'refuses the mail', 'accepts the mail'] as const) {
    mailServer.behavior = behavior
    await ask('auth', 'POST /auth/password-reset-request', { body: { email } })
    await eventually(isAttempted)
  }
  await eventually(() => /"mail.failed"/.test(system.output()))
  for (const token of mailedTokens('[a-z-]+')) canaries.add('token of a link', token)
  const body = { token: resetTokens().at(-1), new_password: THIRD }
  expect((await ask('auth', 'POST /auth/password-reset-confirm', { body })).status).toBe(204)
  await ask('auth', 'POST /auth/password-reset-confirm', { body })

  // A peer that gives wrong answers which repeat the request.
  const garblings = [
    (requestText: string) => new Response(requestText),
    (requestText: string) => new Response(requestText, { status: 500 }),
    (requestText: string) =>
      Response.json({ code: requestText, error: requestText, message: requestText, statusCode: 409 }, { status: 409 }),
    (requestText: string) => Response.json({ [requestText]: requestText }),
    (requestText: string) =>
      new Response(null, {
        status: 302,
        headers: { location: `http://127.0.0.1:1/${encodeURIComponent(requestText.slice(0, 900))}` },
      }),
  ]
  for (const garbling of garblings) {
    garble = garbling
    await ask('auth', 'POST /auth/login', { body: { login: newEmail(), password: SECOND } })
    await ask('auth', 'POST /auth/register', { body: { email: newEmail(), password: SECOND } })
    await ask('auth', 'POST /admin/password-cache/sync', { headers: asOperator })
  }
  garble = undefined

  // Databases that fail while secrets are written.
  for (const [name, table, fail] of [
    [
      'users',
      'users',
      () => ask('users', 'POST /users', { headers: asOperator, body: { email: newEmail(), password: SECOND } }),
    ],
    ['auth', 'sessions', () => ask('auth', 'POST /auth/login', { body: { login: email, password: THIRD } })],
    ['auth', 'signing_keys', () => ask('auth', 'POST /admin/keys/rotate', { headers: asOperator })],
    [
      'auth',
      'accounts',
      () => ask('auth', 'POST /auth/register', { body: { email: newEmail(), password: SECOND } }, TOKENS),
    ],
  ] as const) {
    const database = new Database(join(system.dataDir, `${name}.sqlite`))
    database.run('PRAGMA busy_timeout = 5000')
    database.run(`CREATE TRIGGER injected BEFORE INSERT ON ${table} BEGIN SELECT RAISE(ABORT, 'injected'); END`)
    expect((await fail()).status).toBeGreaterThanOrEqual(500)
    database.run('DROP TRIGGER injected')
    database.close()
  }
  await logIn(email, THIRD)

  // Client input where a secret belongs, and where it does not.
  for (const route of distinctRoutes(await servedRoutes())) {
    const path = route.path.replace(/:(\w+)\??/g, TYPED)
    const send = (options: Parameters<typeof call>[2], query = '') =>
      call(system.url[route.service], `${route.method} ${path}${query}`, options)
    const type = { 'content-type': 'application/json' }
    const fields = Object.keys(route.body?.properties ?? {})
    const sent = [
      send({}, `?token=${TYPED}&password=${TYPED}&x-api-key=${TYPED}`),
      send({ headers: { authorization: `Bearer ${TYPED}` } }),
      send({ headers: { authorization: `Basic ${btoa(TYPED)}`, cookie: `token=${TYPED}` } }),
      send({ headers: { 'x-api-key': TYPED, referer: `https://a.example.org/?token=${TYPED}`, 'user-agent': 'x' } }),
      ...(route.method === 'GET'
        ? []
        : [asOperator, asInternal, {}].flatMap((who) => [
            send({ headers: { ...who, ...type }, body: `{"password":"${TYPED}",` }),
            send({ headers: { ...who, ...type }, body: JSON.stringify({ unknown: TYPED, password: TYPED }) }),
            send({ headers: { ...who, 'content-type': 'text/plain' }, body: TYPED }),
            ...fields.map((field) => send({ headers: who, body: { [field]: { is: TYPED } } })),
          ])),
    ]
    for (const { headers, status, text } of await Promise.all(sent))
      answers.push([`${route.method} ${route.path} → ${status}`, canaries.in(text + JSON.stringify([...headers]))])
  }
  for (const field of ['password', 'refresh_token', 'token'])
    await ask('auth', 'POST /auth/login', { body: { login: TYPED, password: TYPED, [field]: TYPED } })
  await ask('auth', 'POST /auth/refresh', { body: { refresh_token: TYPED } })
  await ask('auth', 'POST /auth/logout', { body: { refresh_token: `ch202_rt_${TYPED}` } })
  await ask('auth', 'POST /auth/password-reset-confirm', { body: { token: TYPED, new_password: TYPED } })
  await ask('auth', 'POST /auth/password-reset-request', { body: { email: TYPED } })

  // The tool, and a backup at the same time.
  const admin = newEmail()
  await tool(['--debug', 'users', 'create', admin, '--role', 'ADMIN', '--password-stdin'], SECOND)
  await tool(['--debug', 'users', 'set-password', admin, '--password-stdin', '--yes'], THIRD)
  const others = Promise.all(Array.from({ length: 5 }, () => logIn(email, THIRD)))
  expect((await tool(['--debug', 'backup', 'create'])).status).toBe(0)
  await others
  const commands = [
    ['config', 'show'],
    ['config', 'show', '--origin', '-o', 'json'],
    ['doctor'],
    ['--debug', 'users', 'list'],
    ['--debug', 'keys', 'list', '-o', 'json'],
    ['--debug', 'sessions', 'list', '--all', '-o', 'json'],
    ['--debug', 'audit', 'list', '-o', 'json'],
    ['logs', '--since', '1h', '-o', 'jsonl'],
    ['ps', '-o', 'json'],
    ['backup', 'verify'],
    ['restore', 'latest', '--to', folder.fresh()],
  ]
  for (const words of sliced(commands, 3)) await tool(words)
  const none = { ...addressSettings(() => ''), INTERNAL_API_KEY: '', OPERATOR_API_KEY: '' }
  const context = { ...none, CH202_DATA_DIR: folder.fresh() }
  expect(
    (await tool(['--debug', 'login', system.url.auth, '--email', admin, '--password-stdin'], THIRD, context)).status,
  ).toBe(0)
  for (const file of filesUnder(config)) {
    const session = JSON.parse(readFileSync(file, 'utf8'))
    if (session.access_token) noteTokens(session)
  }
  expect((await tool(['--debug', 'users', 'list'], undefined, context)).status).toBe(0)
  await tool(['--debug', 'login', system.url.auth, '--email', admin, '--password-stdin'], TYPED, context)
  await tool(['--debug', 'api', 'POST', '/auth/login', '-d', '-'], JSON.stringify({ login: 'x', password: TYPED }))
  const imported = join(folder.path, 'users.jsonl')
  writeFileSync(
    imported,
    [
      { email: newEmail(), password: SECOND },
      { email: newEmail(), password_hash: `$2b$10$${TYPED}` },
    ]
      .map((line) => JSON.stringify(line))
      .join('\n'),
  )
  mkdirSync(join(folder.path, 'made'), { mode: 0o700 })
  await tool(['--debug', 'users', 'import', imported, '--yes', '--errors', join(folder.path, 'made', 'errors.jsonl')])

  const database = new Database(join(system.dataDir, 'auth.sqlite'), { readonly: true })
  const sealing = new Sealing([SECRET], systemRandom)
  const keys = database.query('SELECT kid, sealed_private_key AS sealed FROM signing_keys').all() as {
    kid: string
    sealed: Uint8Array
  }[]
  database.close()
  expect(keys.length).toBeGreaterThan(1)
  for (const { kid, sealed } of keys) {
    const der = sealing.open(sealed, `signing key ${kid}`)
    // The seed is the rest without the public parts (RFC 8410, 7).
    canaries.add('private key', der?.subarray(-32) ?? '')
  }
})

test('check 38: no answer contained a secret that was not requested, and the tool printed none', () => {
  expect(answers.length).toBeGreaterThan(500)
  expect(answers.filter(([, secrets]) => secrets.length > 0)).toEqual([])
  for (const line of ['internal key', 'operator key', 'CH202_SECRET', 'private key'])
    expect(canaries.in(toolOutput)).not.toContain(line)
})

test('check 38: no log contains a secret, whatever failed', async () => {
  // Lines are written to the files in their order, ten times a second: after this one, all earlier ones are there.
  for (const name of NAMES) {
    const mark = `last-${Bun.randomUUIDv7()}`
    await call(system.url[name], 'GET /health', { headers: { 'x-request-id': mark } })
    await eventually(() => readFileSync(join(system.dataDir, 'logs', `${name}.log`), 'utf8').includes(mark))
  }
  expect(system.output()).toContain('"mail.failed"')
  expect(canaries.in(system.output())).toEqual([])
  expect(canaries.under(join(system.dataDir, 'logs'))).toEqual([])
})

test('check 38: the log has only kind and location of an error that quotes input, even if a quoted line looks like a location', async () => {
  const dataDir = folder.fresh()
  mkdirSync(dataDir)
  const write = spyOn(process.stdout, 'write').mockReturnValue(true)
  const log = openLog('errors', { dataDir, logLevel: 'trace', logFormat: 'json' })
  const cause = new TypeError(`at ${TYPED}`)
  log.error({
    event: 'injected',
    err: new Error(`535 no such login\n    at ${TYPED}\nat ${TYPED} (/a.ts:1:1)`, { cause }),
  })
  log.error({ event: 'injected', err: { password: TYPED } })
  log.error({ event: 'injected', err: TYPED })
  write.mockRestore()
  const file = join(dataDir, 'logs', 'errors.log')
  const lines = await eventually(() => existsSync(file) && readFileSync(file, 'utf8'))
  expect(canaries.in(String(lines))).toEqual([])
  expect(lines).toContain('secrets.test.ts')
})

test('check 38: no metric, no health answer and no command line contains a secret', async () => {
  for (const name of NAMES)
    for (const [path, headers] of [
      ['/metrics', asOperator],
      ['/metrics', { 'x-api-key': METRICS }],
      ['/metrics', { authorization: `Bearer ${METRICS}` }],
      ['/health', {}],
      ['/health/db', {}],
      ['/swagger/json', {}],
    ] as const) {
      const { status, text } = await call(system.url[name], `GET ${path}`, { headers })
      expect([path, status, canaries.in(text)]).toEqual([path, 200, []])
    }
  const processes = processesWith(system.dataDir)
  expect(processes.length).toBeGreaterThanOrEqual(3)
  expect(processes.filter(({ command }) => canaries.in(command).length > 0)).toEqual([])
})

test('check 38: no token and no key is on the disk in plain text: not in a database, its log, or a backup', async () => {
  const files = filesUnder(system.dataDir).map((path) => path.slice(system.dataDir.length + 1))
  for (const name of NAMES) expect(files).toEqual(expect.arrayContaining([`${name}.sqlite`, `${name}.sqlite-wal`]))
  expect(files.filter((file) => /^backups\/[^/]+\/(auth|users|modules)\.sqlite$/.test(file)).length).toBe(3)
  // Passwords are stored as hashes only, in two databases and their copies.
  expect(canaries.under(system.dataDir, ['hash'])).toEqual([])
  const hashed = canaries.under(system.dataDir).filter((line) => !/(^|\/)(auth|users)\.sqlite(-wal)?: hash$/.test(line))
  expect(hashed).toEqual([])
  // The search works: it finds the hashes that exist.
  const probe = new Canaries()
  const { kid } = (await call(system.url.auth, 'GET /.well-known/jwks.json')).body.keys[0]
  probe.add('kid', kid)
  expect(probe.under(system.dataDir).length).toBeGreaterThan(0)
})

test('check 38: whatever the umask, files are 0600 and directories 0700: the data, the logs, the backups, the contexts of the tool', () => {
  expect(process.umask()).toBe(0)
  expect(openUnder(system.dataDir)).toEqual([])
  expect(openUnder(config)).toEqual([])
  expect(filesUnder(config).length).toBeGreaterThan(1)
  expect(openUnder(join(folder.path, 'made'))).toEqual([])
})
