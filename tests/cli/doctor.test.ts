import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  cpSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { recordDrill } from '../../services/kit/process/backup-drill.ts'
import { SERVICES_WITH_DATABASE } from '../../services/registry.ts'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { call } from '../support/http.ts'
import { launch, ownSettings, ROOT, type Running, runTool, temporary } from '../support/tool.ts'
import { sliced } from '../support/whole.ts'

// Processes start slowly on a busy machine; what has to be quick is measured.
setDefaultTimeout(120_000)

const folder = temporary('doctor')
const started = new Set<Running>()
afterAll(() => {
  for (const running of started) running.signal('SIGKILL')
  folder.remove()
})

type Env = Record<string, string>
type Statuses = Record<string, string>
interface Item {
  id: string
  status: string
  message: string
  suggestion: string | null
}

async function examine(env: Env, ...words: string[]) {
  const ended = await runTool(['doctor', '-o', 'json', ...words], { env })
  const body: { ok: boolean; items: Item[] } = JSON.parse(ended.stdout)
  const statuses: Statuses = Object.fromEntries(body.items.map(({ id, status }) => [id, status]))
  return { ...ended, ...body, statuses }
}

/** The statuses that differ from those before. */
function changes(before: Statuses, after: Statuses): Statuses {
  expect(Object.keys(after)).toEqual(Object.keys(before))
  // A disk that is busy with other tests may be reported as slow.
  const isBusy = (id: string, status: string | undefined) => id === 'disk.sync' && status !== 'failed'
  return Object.fromEntries(
    Object.entries(after).filter(([id, status]) => before[id] !== status && !isBusy(id, status)),
  )
}

/** Everything that a run could have changed: names, modes, owners, times and contents. */
function snapshot(directory: string, part = ''): string[] {
  return readdirSync(join(directory, part))
    .sort()
    .flatMap((name) => {
      const path = join(part, name)
      const { mode, mtimeMs, size, uid } = lstatSync(join(directory, path))
      if (lstatSync(join(directory, path)).isDirectory())
        return [`${path} ${mode} ${uid}`, ...snapshot(directory, path)]
      const hash = Bun.hash(readFileSync(join(directory, path))).toString(36)
      return [`${path} ${mode} ${uid} ${size} ${mtimeMs} ${hash}`]
    })
}

/** Starts `ch202 serve`. @param names by default all services */
async function served(env: Env, ...names: string[]): Promise<Running> {
  const running = launch([process.execPath, 'cli/main.ts', 'serve', ...names], { env })
  started.add(running)
  running.ended.finally(() => started.delete(running))
  await running.printed(/ready at/)
  return running
}

const inProduction: Env = {
  CH202_ENV: 'production',
  PUBLIC_URL: 'https://id.example.org',
  REGISTRATION: 'closed',
  SMTP_URL: 'smtps://mail.example.org',
  MAIL_FROM: 'Example <no-reply@example.org>',
  TRUSTED_PROXIES: '127.0.0.1',
  BCRYPT_COST: '10',
}

const template = folder.fresh()
let before: Statuses
let beforeInProduction: Statuses
beforeAll(async () => {
  const { INTERNAL_API_KEY: _, OPERATOR_API_KEY: __, CH202_SECRET: ___, ...env } = ownSettings(template)
  const running = await served(env)
  for (let n = 0; n < 3; n++)
    await call(env.CH202_URL ?? '', 'POST /api/v1/auth/register', { body: { email: newEmail(), password: PASSWORD } })
  running.signal('SIGTERM')
  await running.ended
  const snapshotBefore = snapshot(template)
  const report = await examine(settings(template))
  expect([report.status, report.stderr, report.ok]).toEqual([0, '', true])
  expect(snapshot(template)).toEqual(snapshotBefore)
  before = report.statuses
  beforeInProduction = (await examine({ ...settings(template), ...inProduction })).statuses
})

/** The settings of an instance whose secrets are in its `secrets.env`. */
function settings(dataDir: string, more: Env = {}): Env {
  const { INTERNAL_API_KEY: _, OPERATOR_API_KEY: __, CH202_SECRET: ___, ...env } = ownSettings(dataDir)
  return { ...env, ...more }
}

function instance(): string {
  const dataDir = folder.fresh()
  cpSync(template, dataDir, { recursive: true })
  return dataDir
}

function change(path: string, ...statements: string[]): void {
  const raw = new Database(path)
  for (const sql of statements) raw.run(sql)
  raw.run('PRAGMA wal_checkpoint(TRUNCATE)')
  raw.close()
}

test('an instance that was stopped in order has no problem except its backups', () => {
  const skipped = Object.keys(before).filter((id) => before[id] === 'skipped')
  expect(skipped).toEqual([
    'services.answer',
    'services.version',
    'pages.address',
    'pages.reset_password',
    'clock.services',
    'backup.drill',
  ])
  expect(changes(Object.fromEntries(Object.keys(before).map((id) => [id, 'ok'])), before)).toEqual({
    'backup.age': 'warning',
    ...Object.fromEntries(skipped.map((id) => [id, 'skipped'])),
  })
  expect(changes(before, beforeInProduction)).toEqual({})
})

describe('in production', () => {
  const rows: [what: string, more: Env, found: Statuses][] = [
    ['the environment is not set', { CH202_ENV: 'test' }, { 'settings.environment': 'warning' }],
    ['anyone may register', { REGISTRATION: 'open' }, { 'settings.registration': 'warning' }],
    ['nothing is limited', { RATE_LIMIT: 'off' }, { 'settings.rate_limit': 'warning' }],
    ['hashes are cheap', { BCRYPT_COST: '9' }, { 'settings.password_hash': 'warning' }],
    ['BCRYPT_COST does not matter with argon2id', { BCRYPT_COST: '4', PASSWORD_HASH: 'argon2id' }, {}],
    ['links are http', { PUBLIC_URL: 'http://id.example.org' }, { 'settings.public_url': 'warning' }],
    ['links have the default address', { PUBLIC_URL: '' }, { 'settings.public_url': 'warning' }],
    ['mails are files', { SMTP_URL: '' }, { 'settings.mail': 'warning' }],
    [
      'mails are files, which everyone who registers waits for',
      { SMTP_URL: '', EMAIL_VERIFICATION: 'required', DEVICE_TRUST: 'all' },
      { 'settings.mail': 'warning', 'mail.verification': 'warning', 'mail.device_trust': 'warning' },
    ],
    ['mails verify emails and confirm devices', { EMAIL_VERIFICATION: 'required', DEVICE_TRUST: 'all' }, {}],
    ['R11: mails come from localhost', { MAIL_FROM: '' }, { 'settings.mail': 'warning' }],
    ['R11: mails come from no domain', { MAIL_FROM: 'a@shop' }, { 'settings.mail': 'warning' }],
    ['R26: mails go to a server without a password', { SMTP_URL: 'smtp://mail' }, {}],
    ['R26: STARTTLS protects the password', { SMTP_URL: 'smtp://u:canary@mail' }, {}],
    ...['requireTLS=false', 'tls.rejectUnauthorized=false'].map((option): (typeof rows)[number] => [
      `R26: nothing protects the password: ${option}`,
      { SMTP_URL: `smtp://u:canary@mail?${option}` },
      { 'settings.mail': 'warning' },
    ]),
    ['13: pages have an IP address', { PUBLIC_URL: 'https://203.0.113.5' }, { 'passkeys.domain': 'warning' }],
    ['13: passkeys are for a domain above', { PUBLIC_URL: 'https://id.example.org', PASSKEY_RP_ID: 'example.org' }, {}],
    ['13: passkeys are for another domain', { PASSKEY_RP_ID: 'ample.org' }, { 'passkeys.domain': 'warning' }],
    ['13: passkeys are for a domain below', { PASSKEY_RP_ID: 'a.id.example.org' }, { 'passkeys.domain': 'warning' }],
    ['the proxy is not named', { TRUSTED_PROXIES: '' }, { 'settings.proxies': 'warning' }],
    ['a key repeats itself', { OPERATOR_API_KEY: 'ab'.repeat(20) }, { 'secrets.strength': 'failed' }],
  ]
  test.concurrent.each(sliced(rows, 6))('%s', async (_, more, expected) => {
    const { statuses } = await examine({ ...settings(instance()), ...inProduction, ...more })
    expect(changes(beforeInProduction, statuses)).toEqual(expected)
  })
})

test('11: doctor says what DEVICE_TRUST does not cover', async () => {
  const { items } = await examine({ ...settings(template), SMTP_URL: 'smtp://mail' }, '--only', 'mail.device_trust')
  expect(items).toEqual([expect.objectContaining({ status: 'ok', message: expect.stringMatching(/pages only.*API/) })])
})

describe('13: second factors', () => {
  const factorsIn = async (dataDir: string, more: Env) =>
    (await examine({ ...settings(dataDir), ...inProduction, ...more }, '--only', 'passkeys,factors')).items
  const messageOf = (items: Item[], id: string) => items.find((item) => item.id === id)

  test('the relying party of the first passkey is compared with the settings', async () => {
    const dataDir = instance()
    change(join(dataDir, 'auth.sqlite'), "INSERT INTO facts (name, value) VALUES ('passkey_rp_id', 'example.org')")
    const same = messageOf(await factorsIn(dataDir, { PASSKEY_RP_ID: 'example.org' }), 'passkeys.relying_party')
    expect(same?.status).toBe('ok')
    const other = messageOf(await factorsIn(dataDir, {}), 'passkeys.relying_party')
    expect(other).toMatchObject({
      status: 'warning',
      message: expect.stringMatching(/for example\.org, but the settings say id\.example\.org: .*no effect/),
      suggestion: 'PASSKEY_RP_ID=example.org',
    })
    const moved = messageOf(
      await factorsIn(dataDir, { PUBLIC_URL: 'https://id.example.com' }),
      'passkeys.relying_party',
    )
    expect(moved).toMatchObject({
      status: 'warning',
      message: expect.stringContaining('cannot be used at https://id.example.com'),
    })
  })

  test('administrators without one are counted, which is no warning', async () => {
    const dataDir = instance()
    change(
      join(dataDir, 'auth.sqlite'),
      `UPDATE accounts SET roles = '["USER","ADMIN"]' WHERE user_id IN (SELECT user_id FROM accounts LIMIT 2)`,
      `INSERT INTO passkeys (id, user_id, name, credential_id, public_key, algorithm, counter, transports, aaguid,
         backup_eligible, backed_up, created_at)
       SELECT 'p', user_id, 'Key', x'00', x'00', -7, 0, '[]', '', 0, 0, 0 FROM accounts
       WHERE roles LIKE '%ADMIN%' LIMIT 1`,
    )
    const factorsWith = async (more: Env) => messageOf(await factorsIn(dataDir, more), 'factors.administrators')
    expect(await factorsWith({})).toMatchObject({
      status: 'ok',
      message: 'Nobody must have a second factor (MFA=optional); of 2 administrators 1 has no second factor',
    })
    expect(await factorsWith({ MFA: 'admins' })).toMatchObject({
      status: 'ok',
      message: expect.stringMatching(/^Administrators must .*1 has no second factor: the next login asks to add one$/),
    })
    expect((await factorsWith({ MFA: 'all' }))?.message).toStartWith('Everyone must')
  })
})

/** A client with an address that auth calls. */
const client = (name: string, column: 'jwks_uri' | 'backchannel_logout_uri', address: string, status = 'active') =>
  `INSERT INTO clients (id, name, kind, first_party, redirect_uris, post_logout_redirect_uris, ${column}, grant_types,
     scopes, resources, id_token_alg, token_auth_method, require_pkce, status, created_at, version)
   VALUES ('${name}', '${name}', 'confidential', 0, '[]', '[]', '${address}', '["client_credentials"]', '[]', '[]',
     'RS256', 'private_key_jwt', 1, '${status}', 0, 1)`

describe('16: the addresses of clients', () => {
  const rows: [what: string, clients: string[], privateHosts: string, expected: Partial<Item>][] = [
    ['no client', [], '', { status: 'ok', message: 'No client has an address that auth calls' }],
    [
      'public addresses',
      [client('a', 'jwks_uri', 'https://8.8.8.8/jwks'), client('b', 'backchannel_logout_uri', 'https://[2600::1]/')],
      '',
      { status: 'ok', message: 'Auth can call 2 addresses of clients' },
    ],
    [
      'private addresses',
      [
        client('crm', 'jwks_uri', 'https://10.0.0.5/jwks'),
        client('shop', 'backchannel_logout_uri', 'https://localhost:8443/out'),
        client('wiki', 'backchannel_logout_uri', 'https://[fd00::1]/out'),
        client('board', 'jwks_uri', 'https://8.8.8.8/jwks'),
      ],
      '',
      {
        status: 'warning',
        message: 'Auth does not call 10.0.0.5, fd00::1, localhost, which are private, for crm, shop, wiki',
        suggestion: 'OAUTH_PRIVATE_HOSTS=10.0.0.5,fd00::1,localhost',
      },
    ],
    [
      'one of two is allowed',
      [client('crm', 'jwks_uri', 'https://10.0.0.5/jwks'), client('shop', 'jwks_uri', 'https://10.0.0.6/jwks')],
      '10.0.0.5',
      {
        status: 'warning',
        message: 'Auth does not call 10.0.0.6, which is private, for shop',
        suggestion: 'OAUTH_PRIVATE_HOSTS=10.0.0.5,10.0.0.6',
      },
    ],
    ['all are allowed', [client('crm', 'jwks_uri', 'https://10.0.0.5/jwks')], '10.0.0.5', { status: 'ok' }],
    ['a disabled client', [client('crm', 'jwks_uri', 'https://10.0.0.5/jwks', 'disabled')], '', { status: 'ok' }],
    ['a host that does not exist', [client('crm', 'jwks_uri', 'https://crm.invalid/jwks')], '', { status: 'ok' }],
    [
      'a database from before there were clients',
      ['DROP TABLE clients', "DELETE FROM schema_migrations WHERE name = '0011_clients'"],
      '',
      { status: 'ok' },
    ],
  ]
  test.concurrent.each(sliced(rows, 4, ([, , , { status }]) => status))(
    '%s',
    async (_, statements, OAUTH_PRIVATE_HOSTS, expected) => {
      const dataDir = instance()
      change(join(dataDir, 'auth.sqlite'), ...statements)
      const { items, status } = await examine(
        { ...settings(dataDir), OAUTH_PRIVATE_HOSTS },
        '--only',
        'clients.addresses',
      )
      expect(items).toEqual([expect.objectContaining({ id: 'clients.addresses', ...expected })])
      expect(status).toBe(0)
    },
  )
})

describe('a single fault is reported, and nothing else', () => {
  const at =
    (file: string, ...statements: string[]) =>
    (dataDir: string) =>
      change(join(dataDir, file), ...statements)
  const ago = (seconds: number) => Date.now() - seconds * 1000
  const unread = (name: string) =>
    Object.fromEntries(['file', 'integrity', 'schema', 'wal'].map((what) => [`db.${name}.${what}`, 'skipped']))
  const mailUnknown = { 'mail.verification': 'skipped', 'mail.device_trust': 'skipped' }
  const ofAuth = Object.fromEntries(
    [
      'passkeys.relying_party',
      'factors.administrators',
      'clients.addresses',
      'clients.logouts',
      'mail.waiting',
      'deliveries.waiting',
      'keys.open',
      'keys.age',
      'cache.drift',
      'audit.chain',
    ].map((id) => [id, 'skipped']),
  )
  const settingsUnknown = {
    ...Object.fromEntries(
      ['environment', 'registration', 'rate_limit', 'password_hash', 'public_url', 'mail', 'proxies'].map((name) => [
        `settings.${name}`,
        'skipped',
      ]),
    ),
    'passkeys.domain': 'skipped',
    'factors.administrators': 'skipped',
    'clients.addresses': 'skipped',
  }
  const EVENT = "INSERT INTO events VALUES ('e', 'user.created', 'u', 0, '{}')"
  const delivery = (status: string, since: number) =>
    `INSERT INTO deliveries (event_id, target, next_at, status, since) VALUES ('e', 'amqp', 0, '${status}', ${since})`
  const notice = (payload: string, subject = "'x'", kind = 'audit') =>
    `INSERT INTO outbox (target, kind, subject, payload) SELECT 'auth', '${kind}', ${subject}, '${payload}'`
  const trouble = (value: string) => `INSERT INTO facts (name, value) VALUES ('mail_trouble', '${value}')`
  const SAMPLE = 'SELECT user_id FROM accounts LIMIT 1'

  const rows: [what: string, damage: (dataDir: string) => unknown, found: Statuses, said?: RegExp][] = [
    [
      'a wrong setting',
      () => ({ JWT_EXPIRE: 'sooncanary' }),
      { 'settings.valid': 'failed', ...settingsUnknown, ...mailUnknown, 'ports.free': 'skipped' },
      /JWT_EXPIRE must be a duration/,
    ],
    [
      'a short key',
      () => ({ OPERATOR_API_KEY: 'shortcanary' }),
      { 'secrets.strength': 'warning' },
      /has 11 characters/,
    ],
    [
      'a short key for metrics',
      () => ({ METRICS_API_KEY: 'metricscanary' }),
      { 'secrets.strength': 'warning' },
      /METRICS_API_KEY has 13 characters/,
    ],
    [
      'secrets.env lacks a secret, which no start adds',
      (dir) => {
        const path = join(dir, 'secrets.env')
        writeFileSync(path, readFileSync(path, 'utf8').replace(/^OPERATOR_API_KEY=.*$/m, ''))
      },
      { 'settings.valid': 'failed', ...settingsUnknown, ...mailUnknown, 'ports.free': 'skipped' },
      /OPERATOR_API_KEY/,
    ],
    [
      'secrets that others read',
      (dir) => chmodSync(join(dir, 'secrets.env'), 0o644),
      { 'secrets.mode': 'failed', 'files.mode': 'failed' },
      /secrets\.env has mode 0644/,
    ],
    ['a file that others read', (dir) => chmodSync(join(dir, 'auth.sqlite'), 0o640), { 'files.mode': 'failed' }],
    ['a directory that others enter', (dir) => chmodSync(join(dir, 'run'), 0o711), { 'files.mode': 'failed' }],
    [
      'a database that is missing',
      (dir) => rmSync(join(dir, 'modules.sqlite')),
      { ...unread('modules'), 'db.modules.file': 'failed', 'outbox.modules': 'skipped' },
    ],
    [
      'a file that is not a database',
      (dir) => writeFileSync(join(dir, 'auth.sqlite'), 'no database '.repeat(1000)),
      { 'db.auth.file': 'skipped', 'db.auth.schema': 'skipped', 'db.auth.integrity': 'failed', ...ofAuth },
      /auth\.sqlite is damaged/,
    ],
    ['the database of another service', at('users.sqlite', 'PRAGMA application_id = 7'), { 'db.users.file': 'failed' }],
    [
      'an index without its rows',
      at('modules.sqlite', 'PRAGMA foreign_keys = OFF', "INSERT INTO choices VALUES ('u', 'none', 0, NULL)"),
      { 'db.modules.integrity': 'failed' },
      /a row of choices without its row of modules/,
    ],
    [
      'a schema of the future',
      at('users.sqlite', "INSERT INTO schema_migrations VALUES ('9999_future', 'x', 0)"),
      { 'db.users.schema': 'failed' },
    ],
    [
      'an edited migration',
      at('users.sqlite', "UPDATE schema_migrations SET checksum = 'edited'"),
      { 'db.users.schema': 'failed' },
    ],
    ['a migration to apply', at('users.sqlite', 'DELETE FROM schema_migrations'), { 'db.users.schema': 'warning' }],
    [
      'a log that is never written back',
      (dir) => {
        for (const [end, bytes] of [
          ['wal', 70 * 1024 * 1024],
          ['shm', 32_768],
        ] as const) {
          writeFileSync(join(dir, `users.sqlite-${end}`), '', { mode: 0o600 })
          truncateSync(join(dir, `users.sqlite-${end}`), bytes)
        }
      },
      { 'db.users.wal': 'warning' },
      /70 MiB/,
    ],
    [
      'a clock set back',
      at('auth.sqlite', `UPDATE sessions SET created_at = ${ago(-3600)}`),
      { 'clock.rows': 'failed' },
    ],
    [
      'a row of the audit that was altered',
      at('auth.sqlite', 'DROP TRIGGER audit_unchanged', "UPDATE audit SET actor = 'anyone' WHERE seq = 1"),
      { 'audit.chain': 'failed' },
      /^The chain breaks at the row [0-9a-f-]{36} of \d{4}-\d\d-\d\dT/,
    ],
    [
      'an audit from before it was chained',
      at('auth.sqlite', "DELETE FROM schema_migrations WHERE name >= '0002'"),
      { 'audit.chain': 'skipped', 'db.auth.schema': 'warning' },
      /no chain until the pending migration is applied|Migrations to apply: 0002_audit_chain/,
    ],
    [
      'a notice that was not delivered',
      at('users.sqlite', notice(`{"at":${ago(90)}}`), notice('{}'), notice(`{"at":${ago(2)}}`)),
      { 'outbox.users': 'warning' },
      /: 1 for auth since/,
    ],
    ['a notice that is about to be delivered', at('modules.sqlite', notice(`{"at":${ago(2)}}`)), {}],
    [
      'a cache that lags',
      at('auth.sqlite', 'UPDATE accounts SET version = version - 1'),
      { 'cache.drift': 'failed' },
      /differs: 3 older than in the users service/,
    ],
    [
      'a cache with a newer row, one row too many and one too few',
      at(
        'auth.sqlite',
        `UPDATE accounts SET version = 99 WHERE user_id = (${SAMPLE})`,
        `UPDATE accounts SET user_id = 'none' WHERE user_id = (${SAMPLE} OFFSET 1)`,
        `UPDATE accounts SET deleted = 1 WHERE user_id = (${SAMPLE} OFFSET 1)`,
      ),
      { 'cache.drift': 'failed' },
      /differs: 1 newer than in the users service, 1 marked as deleted although the user exists, 1 of users who no longer exist/,
    ],
    ['a cache with rows that it will fetch', at('auth.sqlite', 'UPDATE accounts SET cached = 0, version = 1'), {}],
    [
      'a cache that is about to be updated',
      (dir) => {
        change(join(dir, 'auth.sqlite'), 'UPDATE accounts SET version = version - 1')
        change(join(dir, 'users.sqlite'), `${notice('{}', 'id', 'changed')} FROM users`)
      },
      {},
    ],
    [
      'another secret',
      () => ({ CH202_SECRET: 'another-secret-0123456789-0123456789-0123' }),
      { 'keys.open': 'failed' },
    ],
    [
      'an old key',
      at('auth.sqlite', `UPDATE signing_keys SET created_at = ${ago(91 * 86_400)}`),
      { 'keys.age': 'warning' },
      /91 days old/,
    ],
    [
      'mails that are not sent',
      at(
        'auth.sqlite',
        `INSERT INTO mail_requests (id, kind, email, requested_at) VALUES ('x', 'notice', 'a@example.org', ${ago(700)})`,
      ),
      { 'mail.waiting': 'warning' },
      /1 email has been waiting for over ten minutes$/,
    ],
    [
      'an app that does not acknowledge the end of sessions',
      at(
        'auth.sqlite',
        client('shop', 'backchannel_logout_uri', 'https://8.8.8.8/out'),
        `INSERT INTO client_logouts SELECT 'x', id, 'u', 's', 'user', ${ago(700)}, 3, 0, 'The answer was 500' FROM clients`,
        `INSERT INTO client_logouts SELECT 'y', id, 'u', 't', 'user', ${ago(60)}, 3, 0, 'The answer was 500' FROM clients`,
      ),
      { 'clients.logouts': 'warning' },
      /^shop has not acknowledged the end of 1 session for over ten minutes \(The answer was 500\)$/,
    ],
    [
      'R15: mails that the server defers',
      at(
        'auth.sqlite',
        `INSERT INTO mail_requests (id, kind, email, requested_at, last_error) VALUES ('x', 'notice', 'a@example.org', ${ago(700)}, 'deferred')`,
      ),
      { 'mail.waiting': 'warning' },
      /over ten minutes \(deferred\)/,
    ],
    [
      'R15: a mail server that refuses the login',
      (dir) => {
        change(join(dir, 'auth.sqlite'), trouble('{"reason":"authentication_failed","at":1795168800000}'))
        return { SMTP_URL: 'smtp://u:canary@mail' }
      },
      { 'mail.waiting': 'warning', 'mail.device_trust': 'warning' },
      /refuses the user and password in SMTP_URL \(authentication_failed, at 2026-11-20 10:00:00Z\)/,
    ],
    [
      'R15: a mail server that does not relay to this one',
      (dir) => {
        const row = `('x', 'notice', 'a@example.org', ${ago(5)}, 'relay_denied')`
        change(
          join(dir, 'auth.sqlite'),
          `INSERT INTO mail_requests (id, kind, email, requested_at, last_error) VALUES ${row}`,
        )
        return { SMTP_URL: 'smtp://mail', EMAIL_VERIFICATION: 'required', DEVICE_TRUST: 'off' }
      },
      { 'mail.waiting': 'warning', 'mail.verification': 'warning' },
      /does not relay emails for this machine \(relay_denied\)/,
    ],
    [
      'R15: a mail server that takes mails again',
      (dir) => {
        change(join(dir, 'auth.sqlite'), trouble(''))
        return { SMTP_URL: 'smtp://mail' }
      },
      {},
    ],
    [
      'an event that is late',
      at('auth.sqlite', EVENT, delivery('pending', ago(4000))),
      { 'deliveries.waiting': 'warning' },
      /1 delivery is waiting for over an hour/,
    ],
    [
      'an undeliverable event',
      at('auth.sqlite', EVENT, delivery('dead', ago(60))),
      { 'deliveries.waiting': 'warning' },
      /1 delivery is dead/,
    ],
    ['an event that is being delivered', at('auth.sqlite', EVENT, delivery('pending', ago(60))), {}],
    [
      'mails that pile up',
      (dir) => {
        mkdirSync(join(dir, 'mail'), { mode: 0o700, recursive: true })
        for (let n = 0; n < 101; n++) writeFileSync(join(dir, 'mail', `${n}.eml`), '', { mode: 0o600 })
      },
      { 'mail.files': 'warning' },
    ],
    [
      'a service that was killed',
      (dir) =>
        writeFileSync(join(dir, 'run/auth.json'), '{"service":"auth","url":"http://127.0.0.1:1","pid":4194304}', {
          mode: 0o600,
        }),
      { 'services.answer': 'warning' },
    ],
  ]
  test.concurrent.each(
    sliced(rows, 7).map(([what, damage, expected, message]) => [what, damage, expected, message ?? /./] as const),
  )('%s', async (...row) => {
    const [, damage, expected, pattern] = row
    const dataDir = instance()
    const env = settings(dataDir, (damage(dataDir) as Env | undefined) ?? {})
    const snapshotBefore = snapshot(dataDir)
    const ended = await examine(env)
    expect(changes(before, ended.statuses)).toEqual(expected)
    const failed = Object.values(expected).includes('failed')
    expect([ended.status, ended.ok, ended.stderr]).toEqual([failed ? 10 : 0, !failed, ''])
    const reportedChecks = ended.items.filter(({ id }) => id in expected)
    if (reportedChecks.length > 0) expect(reportedChecks.map(({ message }) => message).join('\n')).toMatch(pattern)
    for (const { status, suggestion } of reportedChecks)
      if (status === 'failed' || status === 'warning') expect(suggestion).toBeTruthy()
    expect(ended.stdout).not.toContain('canary')
    expect(snapshot(dataDir)).toEqual(snapshotBefore)
  })

  test.if(process.getuid?.() === 0)('a file of another user', async () => {
    const dataDir = instance()
    chownSync(join(dataDir, 'users.sqlite'), 12_345, 12_345)
    const { items, statuses } = await examine(settings(dataDir))
    expect(changes(before, statuses)).toEqual({ 'files.owner': 'failed' })
    expect(items.find(({ id }) => id === 'files.owner')?.message).toContain('users.sqlite (user 12345)')
  })

  test('a port that another program uses is reported with that program', async () => {
    const env = settings(template)
    const listen = (url = '') =>
      Bun.serve({ port: new URL(url).port, hostname: '127.0.0.1', fetch: () => new Response() })
    const one = listen(env.CH202_URL)
    expect(changes(before, (await examine(env)).statuses)).toEqual({ 'ports.free': 'warning' })
    const users = listen(env.USERS_URL)
    const { items, statuses } = await examine(env, '--only', 'ports')
    expect(statuses).toEqual({ 'ports.free': 'failed' })
    expect(items[0]?.message).toMatch(
      new RegExp(`^${env.USERS_URL} \\(users\\) is already in use by bun(\\.exe)? \\(process ${process.pid}\\)$`),
    )
    for (const server of [one, users]) server.stop(true)
  })
})

test('a backup counts for seven days after it was verified', async () => {
  const dataDir = instance()
  const env = settings(dataDir)
  const age = async () => (await examine(env, '--only', 'backup.age')).items[0]
  const created = await runTool(['backup', 'create', '-o', 'json'], { env })
  expect(created.status).toBe(0)
  expect(await age()).toMatchObject({ status: 'warning', message: 'The only backup is not verified' })
  expect((await runTool(['backup', 'verify'], { env })).status).toBe(0)
  expect(await age()).toMatchObject({ status: 'ok' })

  const { path } = JSON.parse(created.stdout)
  const manifest = JSON.parse(readFileSync(join(path, 'manifest.json'), 'utf8'))
  const old = JSON.stringify({ ...manifest, created_at: new Date(Date.now() - 8 * 86_400_000).toISOString() })
  writeFileSync(join(path, 'manifest.json'), old)
  const verified = JSON.parse(readFileSync(join(path, 'verified.json'), 'utf8'))
  const manifest_sha256 = createHash('sha256').update(old).digest('hex')
  writeFileSync(join(path, 'verified.json'), JSON.stringify({ ...verified, manifest_sha256 }))
  expect(await age()).toMatchObject({ status: 'warning', message: 'The last verified backup is 8 days old' })
})

test('a backup that is dated in the future is no recent one', async () => {
  const dataDir = instance()
  const env = settings(dataDir)
  const { path } = JSON.parse((await runTool(['backup', 'create', '-o', 'json'], { env })).stdout)
  const manifest = JSON.parse(readFileSync(join(path, 'manifest.json'), 'utf8'))
  writeFileSync(join(path, 'manifest.json'), JSON.stringify({ ...manifest, created_at: '2999-01-01T00:00:00.000Z' }))
  expect((await runTool(['backup', 'verify', path], { env })).status).toBe(0)
  expect((await examine(env, '--only', 'backup.age')).items[0]).toMatchObject({
    status: 'failed',
    message: `The backup ${basename(path)} is dated in the future: the clock was ahead, or is behind`,
    suggestion: `if the clock is right now: rm -r ${path}`,
  })
})

const DAY = 86_400_000
const drills: [
  about: string,
  trial: number,
  age: number,
  status: string,
  message: string,
  suggestion: string | null,
][] = [
  ['yesterday, of the day before', 1, 2, 'ok', 'was verified', null],
  ['long ago', 9, 10, 'warning', 'was verified 9 days ago', 'ch202 backup verify --remote'],
  ['yesterday, of an old backup', 1, 90, 'warning', 'was verified, but it is 90 days old', 'ch202 backup push'],
  [
    'with a clock that was ahead',
    -90,
    -91,
    'failed',
    'is dated in the future: the clock was ahead, or is behind',
    'ch202 backup verify --remote',
  ],
]
test.each(drills)('a trial restore from the bucket %s', async (_, trial, age, status, message, suggestion) => {
  const dataDir = instance()
  const root = join(dataDir, 'backups')
  mkdirSync(root, { recursive: true })
  const ago = (days: number) => new Date(Date.now() - days * DAY - 1000).toISOString()
  recordDrill(root, { backup: 'a', created_at: ago(age), at: ago(trial), passed: true })
  const env = settings(dataDir, {
    BACKUP_S3_URL: 'https://key:secret@s3.example.org/backups',
    BACKUP_PASSPHRASE: 'x'.repeat(20),
  })
  expect((await examine(env, '--only', 'backup.drill')).items[0]).toMatchObject({
    status,
    message: `The backup a of the bucket ${message}`,
    suggestion,
  })
})

describe('with the services up', () => {
  test('more is checked: undelivered notices and drift fail, and the log of a killed service is read without a change', async () => {
    const dataDir = instance()
    const env = settings(dataDir)
    const running = await served(env)
    const first = await examine(env)
    expect([first.status, first.stderr]).toEqual([0, ''])
    const pages = { 'pages.address': 'ok', 'pages.reset_password': 'ok' }
    const up = { 'services.answer': 'ok', 'services.version': 'ok', ...pages, 'clock.services': 'ok' }
    expect(changes(before, first.statuses)).toEqual(up)

    change(join(dataDir, 'auth.sqlite'), 'UPDATE accounts SET version = version - 1')
    change(
      join(dataDir, 'users.sqlite'),
      `INSERT INTO outbox (target, kind, subject, payload) VALUES ('nobody', 'audit', 'x', '{"at":${Date.now() - 90_000}}')`,
    )
    // Rows of users that are being created and deleted are not reported as drift.
    const register = () =>
      call(env.CH202_URL ?? '', 'POST /api/v1/auth/register', { body: { email: newEmail(), password: PASSWORD } })
    const [second] = await Promise.all([examine(env), ...Array.from({ length: 10 }, register)])
    expect(changes(first.statuses, second.statuses)).toEqual({ 'outbox.users': 'failed', 'cache.drift': 'failed' })
    expect(second.items.find(({ id }) => id === 'cache.drift')?.message).toContain(': 3 older')

    const modes = (names: string[]) => names.map((line) => line.split(' ').slice(0, 3).join(' '))
    const files = modes(snapshot(dataDir))
    await examine(env)
    expect(modes(snapshot(dataDir))).toEqual(files)

    const [, key = ''] = /^OPERATOR_API_KEY=(.*)$/m.exec(readFileSync(join(dataDir, 'secrets.env'), 'utf8')) ?? []
    const sync = await call(env.CH202_URL ?? '', 'POST /admin/password-cache/sync', {
      headers: { 'x-api-key': key },
      body: {},
    })
    expect([sync.status, sync.body.synced]).toEqual([200, 3])
    running.signal('SIGKILL')
    await running.ended
    const killed = snapshot(dataDir)
    expect(killed.filter((line) => /^\S+\.sqlite-(wal|shm) /.test(line))).toHaveLength(
      2 * SERVICES_WITH_DATABASE.length,
    )
    const after = await examine(env)
    // Only the write-ahead log contains the row that makes the cache agree again.
    expect(changes(first.statuses, after.statuses)).toEqual({
      'services.answer': 'warning',
      'services.version': 'skipped',
      'pages.address': 'skipped',
      'pages.reset_password': 'skipped',
      'clock.services': 'skipped',
      'outbox.users': 'warning',
    })
    expect(snapshot(dataDir)).toEqual(killed)
  })
})

describe('14: the pages to which mails lead', () => {
  const ONLY = ['--only', 'pages,services.answer,mail.device_trust']
  const types = { own: 'text/html', api: 'application/json' }
  const servers = Object.entries(types).map(([kind, type]) => {
    const headers = { 'content-type': type }
    return [kind, Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response('', { headers }) })] as const
  })
  const address = (kind: keyof typeof types) => String(new Map(servers).get(kind)?.url.origin)
  afterAll(() => {
    for (const [, server] of servers) server.stop(true)
  })
  const messages = (items: Item[]) => items.map(({ id, message, suggestion }) => `${id}: ${message} → ${suggestion}`)

  test('are looked for where PUBLIC_URL says, which has no path', async () => {
    const env = settings(instance(), { SMTP_URL: 'smtp://127.0.0.1:9' })
    const running = await served(env)
    const { items, statuses } = await examine(env, ...ONLY)
    expect(new Set(Object.values(statuses))).toEqual(new Set(['ok']))
    expect(messages(items)[2]).toContain(`${env.CH202_URL}/reset-password`)

    const withPath = await examine({ ...env, PUBLIC_URL: `${env.CH202_URL}/account` }, ...ONLY)
    expect(withPath.statuses).toMatchObject({ 'pages.address': 'warning', 'pages.reset_password': 'warning' })
    expect(messages(withPath.items).join('\n')).toContain(`→ PUBLIC_URL=${env.CH202_URL}`)
    expect(messages(withPath.items).join('\n')).toContain('/account/reset-password answers with status 404')
    const elsewhere = await examine({ ...env, PUBLIC_URL: address('api') }, ...ONLY)
    expect(elsewhere.statuses).toMatchObject({ 'pages.address': 'ok', 'pages.reset_password': 'warning' })
    expect(messages(elsewhere.items).join('\n')).toContain('answers with application/json → PUBLIC_URL=https://…')
    running.signal('SIGTERM')
    await running.ended
  })

  test('may be pages of your own: then the service of the pages is not missed', async () => {
    const env = settings(instance(), { SMTP_URL: 'smtp://127.0.0.1:9', PUBLIC_URL: address('own') })
    const running = await served(env, 'auth', 'users', 'modules')
    const { items, statuses } = await examine(env, ...ONLY)
    expect(statuses).toEqual({
      'services.answer': 'ok',
      'pages.address': 'skipped',
      'pages.reset_password': 'ok',
      'mail.device_trust': 'ok',
    })
    expect(items.at(-1)?.message).toBe('DEVICE_TRUST is pages, but no pages run: no new device is confirmed')

    const { PUBLIC_URL: _, ...withoutPages } = env
    const none = await examine(withoutPages, ...ONLY)
    expect(none.statuses).toMatchObject({ 'services.answer': 'warning', 'pages.reset_password': 'warning' })
    expect(messages(none.items).join('\n')).toContain('Not running: web → ch202 start')
    expect(messages(none.items).join('\n')).toContain('/reset-password cannot be reached (')
    running.signal('SIGTERM')
    await running.ended
  })
})

describe('the checks', () => {
  test('stand in the documentation, all of them and no others', async () => {
    const docs = readFileSync(join(ROOT, 'docs/operate/monitoring.md'), 'utf8')
    const [, chapter = ''] = docs.split(/^## Doctor$/m)
    const listed = [...chapter.matchAll(/^\| `([a-z_.<>]+)` +\|/gm)].flatMap(([, id = '']) =>
      id.includes('<') ? SERVICES_WITH_DATABASE.map((name) => id.replace('<service>', name)) : [id],
    )
    // The checks of PostgreSQL are there with the address of a server, also of one that is away.
    const away = await examine(settings(template, { DATABASE_URL: 'postgres://ch202@127.0.0.1:9/ch202' }))
    const existing = new Set([...Object.keys(before), ...Object.keys(away.statuses)])
    expect(listed.sort()).toEqual([...existing].sort())
  })

  test('are printed as lines or as rows, and can be selected', async () => {
    const env = settings(template)
    const lines = await runTool(['doctor', '--only', 'db.auth.file,backup'], { env })
    expect(lines.stdout).toMatch(
      /^ok {7}db\.auth\.file {2}[\d,]+ bytes\nwarning {2}backup\.age {4}There is no backup\n {9}→ ch202 backup create/,
    )
    const checkKeys = async (form: string) => (await runTool(['doctor', '--only', 'keys', '-o', form], { env })).stdout
    expect(await checkKeys('ids')).toBe('keys.open\nkeys.age\n')
    expect(await checkKeys('csv')).toMatch(/^id,status,message,suggestion\nkeys\.open,ok,/)
    expect((await checkKeys('jsonl')).trim().split('\n')).toHaveLength(2)
  })

  test('of an empty directory say where they looked', async () => {
    const dataDir = folder.fresh()
    const { status, statuses } = await examine(settings(dataDir))
    expect([status, statuses['files.directory'], statuses['db.auth.integrity']]).toEqual([0, 'warning', 'skipped'])
    expect(() => lstatSync(dataDir)).toThrow('ENOENT')
  })

  test.each([
    [['--only', 'nope'], 'There is no check nope'],
    [['--only', 'db.auth.integrit'], 'There is no check db.auth.integrit'],
    [['--url', 'https://id.example.org'], '--url'],
  ])('%j is a wrong use', async (words, text) => {
    const { status, stderr, stdout } = await runTool(['doctor', ...words], { env: settings(template) })
    expect([status, stdout, stderr]).toEqual([2, '', expect.stringContaining(text)])
  })
})
