import { describe, expect, test } from 'bun:test'
import { atOneAddress, type Config, ConfigError, ON_TERMINAL, readConfig } from './config.ts'
import { readSender } from './sender.ts'
import type { Environment } from './setting-reader.ts'
import { isOpenToOthers, readSmtpUrl } from './smtp-url.ts'

const SECRETS = {
  INTERNAL_API_KEY: 'wF3nR8kZ1mQ6yT4uJ9sL2xC7vB5hD0pG',
  OPERATOR_API_KEY: 'eN6gM1aV8rK3zX5oI0tY7bW2qU9fH4jS',
  CH202_SECRET: 'cP2lE7dO4iR9wA1sG6kF8mZ3xT5nB0vQ',
}
const SERVICES = { auth: { number: 1 }, users: { number: 2 }, modules: { number: 3 } }
const read = (env: Environment = {}) => readConfig({ ...SECRETS, ...env }, SERVICES)

function faultsOf(env: Environment): string[] {
  try {
    readConfig(env, SERVICES)
  } catch (error) {
    if (error instanceof ConfigError) return error.faults
    throw error
  }
  return []
}

/** The default addresses. */
const ADDRESSES = {
  auth: 'http://127.0.0.1:3001',
  users: 'http://127.0.0.1:3002',
  modules: 'http://127.0.0.1:3003',
}

const SECOND = 1000
const DAY = 86_400 * SECOND

test('with only the secrets set, the others have their defaults', () => {
  expect(read()).toEqual({
    production: false,
    dataDir: './data',
    nodeName: undefined,
    addresses: ADDRESSES,
    url: 'http://127.0.0.1:3000',
    listen: ADDRESSES,
    listenAll: 'http://127.0.0.1:3000',
    hosts: ['127.0.0.1'],
    publicUrl: 'http://127.0.0.1:3000',
    publicUrlAtOneAddress: 'http://127.0.0.1:3000',
    issuer: undefined,
    audience: 'ch202',
    oauthPrivateHosts: [],
    tokenAlg: 'EdDSA',
    jwtExpire: 3600 * SECOND,
    refreshExpire: 7 * DAY,
    refreshExpireV0: 30 * DAY,
    refreshReuseGrace: 10 * SECOND,
    sessionMaxAge: 90 * DAY,
    revocationMaxLag: 30 * SECOND,
    signingKeyMaxAge: 90 * DAY,
    signingKeyLead: 120 * SECOND,
    passwordMinLength: 8,
    passwordHash: 'bcrypt',
    bcryptCost: 10,
    hashQueue: 128,
    registrationOpen: true,
    corsOrigins: [],
    returnOrigins: [],
    databaseUrl: undefined,
    smtpUrl: undefined,
    mailFrom: 'Ch202 <no-reply@localhost>',
    reauthMaxAge: 600_000,
    emailVerification: 'optional',
    emailLogin: false,
    deviceTrust: 'off',
    mfa: 'optional',
    passkeyRpId: undefined,
    passkeyOrigins: [],
    locale: 'en',
    productName: 'Ch202',
    brandColor: '#1f6feb',
    supportEmail: undefined,
    supportRole: undefined,
    auditRetention: undefined,
    amqpUrl: undefined,
    amqpExchange: 'ch202',
    internalKeys: [SECRETS.INTERNAL_API_KEY],
    operatorKeys: [SECRETS.OPERATOR_API_KEY],
    metricsKeys: [],
    secrets: [SECRETS.CH202_SECRET],
    trustedProxies: [],
    backupS3Url: undefined,
    backupPassphrase: undefined,
    idleTimeout: 75 * SECOND,
    rateLimit: true,
    logLevel: 'info',
    logFormat: 'json',
    logColor: false,
  })
})

test('a service listens at its address, or where its setting says, which changes no address', () => {
  const config = read({ AUTH_URL: 'https://auth.example.org', AUTH_LISTEN: '10.0.0.1:3001', CH202_LISTEN: '[::1]:80' })
  expect(config).toMatchObject({
    addresses: { ...ADDRESSES, auth: 'https://auth.example.org' },
    url: 'http://127.0.0.1:3000',
    listen: { ...ADDRESSES, auth: 'http://10.0.0.1:3001' },
    listenAll: 'http://[::1]:80',
  })
  expect(atOneAddress(config).listenAll).toBe('http://[::1]:80')
  for (const wrong of ['10.0.0.1', ':3001', 'http://10.0.0.1:3001', '10.0.0.1:0', '10.0.0.1:70000', 'a b:1', 'h:1/x'])
    expect(faultsOf({ ...SECRETS, USERS_LISTEN: wrong })).toEqual([
      'USERS_LISTEN must be a host and a port such as 10.0.0.1:3001, without http://',
    ])
})

test('S2: on a terminal the log is pretty, unless a setting says otherwise', () => {
  expect(read({ [ON_TERMINAL]: 'color' })).toMatchObject({ logFormat: 'pretty', logColor: true })
  expect(read({ [ON_TERMINAL]: 'plain' })).toMatchObject({ logFormat: 'pretty', logColor: false })
  expect(read({ [ON_TERMINAL]: 'color', LOG_FORMAT: 'json' }).logFormat).toBe('json')
  expect(read({ LOG_FORMAT: 'pretty' })).toMatchObject({ logFormat: 'pretty', logColor: false })
})

/** Each setting: a valid value, the field of `Config` that it sets, that field's value, and values that are refused. */
const SETTINGS: [name: string, value: string, field: keyof Config, read: unknown, bad: string[]][] = [
  ['CH202_ENV', 'test', 'production', false, ['prod', 'Production']],
  ['CH202_DATA_DIR', '/var/lib/ch202', 'dataDir', '/var/lib/ch202', []],
  [
    'AUTH_URL',
    'https://auth.example.org/',
    'addresses',
    { ...ADDRESSES, auth: 'https://auth.example.org' },
    ['auth', 'ftp://a', 'http://a/b', 'http://*:3001', 'http://a/?', 'http://a#', 'http://a b', 'http:\\\\a'],
  ],
  [
    'USERS_URL',
    'http://[::1]:99',
    'addresses',
    { ...ADDRESSES, users: 'http://[::1]:99' },
    ['//a', 'http://a/?b', 'http://a/#b'],
  ],
  [
    'MODULES_URL',
    'http://m:1',
    'addresses',
    { ...ADDRESSES, modules: 'http://m:1' },
    ['http://u:p@m', 'http://m:99999'],
  ],
  ['CH202_URL', 'http://one:1', 'url', 'http://one:1', ['localhost:3000', 'http://']],
  [
    'PUBLIC_URL',
    'https://app.example.org/a/',
    'publicUrl',
    'https://app.example.org/a',
    ['app', 'javascript:alert(1)'],
  ],
  [
    'PUBLIC_URL',
    'HTTPS://Приложение.example:443/a%20b//',
    'publicUrl',
    'https://xn--e1aabhcpqfgk.example/a%20b',
    [
      // R11
      ...['https://x.example/?lang=ru', 'https://x.example?', 'https://x.example/a?b=c', 'https://x.example/#/reset'],
      ...['https://x.example#', 'https://ann@x.example', 'https://ann:pw@x.example', 'https://x.example/a b'],
      ...['https:\\\\x.example', 'https://x.exa\nmple', 'https://*.example', 'mailto:a@x.example', '//x.example'],
      // R25
      ...['http://0.0.0.0:3000', 'http://[::]:3000', 'http://0', 'http://0x0:3000', 'http://[::ffff:0.0.0.0]:3000'],
    ],
  ],
  [
    'ISSUER',
    'https://id.example.org/tenant/',
    'issuer',
    'https://id.example.org/tenant/',
    [
      // RFC 8414, 2: neither a query nor a fragment.
      ...['https://id.example.org?x', 'https://id.example.org/?', 'https://id.example.org/#x', 'ftp://id.example.org'],
      ...['https://ann:pw@id.example.org', 'id.example.org', 'ch202', 'https://*', 'https://id.example.org/a b'],
      // R25
      ...[
        'http://0.0.0.0:3001',
        'http://[::]:3001',
        'http://0:3001',
        'http://0x0',
        'http://00.0.0.0',
        'http://0.0.0.0.',
      ],
      ...['http://[0:0:0:0:0:0:0:0]', 'http://[::ffff:0.0.0.0]:3001', 'http://[::0.0.0.0]', 'http://0.1.2.3'],
    ],
  ],
  ['AUDIENCE', 'shop', 'audience', 'shop', []],
  ['IDLE_TIMEOUT', '120s', 'idleTimeout', 120 * SECOND, ['0s', '500ms', '75', '256s', '5m', '1h', 'off']],
  ['TOKEN_ALG', 'RS256', 'tokenAlg', 'RS256', ['eddsa', 'HS256', 'none', 'PS256']],
  ['JWT_EXPIRE', '15m', 'jwtExpire', 900 * SECOND, ['15', '0s', '-1h', '1w', '1.5h', 'PT1H', '1h 5m']],
  ['REFRESH_EXPIRE', '1h', 'refreshExpire', 3600 * SECOND, ['0d', 'never']],
  ['REFRESH_EXPIRE_V0', '2d', 'refreshExpireV0', 2 * DAY, ['0s', '4000d']],
  ['REFRESH_REUSE_GRACE', '0s', 'refreshReuseGrace', 0, ['10', '-1s']],
  ['SESSION_MAX_AGE', '30s', 'sessionMaxAge', 30 * SECOND, ['0h', '9999999999s']],
  ['REVOCATION_MAX_LAG', '1s', 'revocationMaxLag', SECOND, ['0s', '1']],
  ['SIGNING_KEY_MAX_AGE', '30d', 'signingKeyMaxAge', 30 * DAY, ['off', '0s', '59m', '4000d']],
  ['AUDIT_RETENTION', '90d', 'auditRetention', 90 * DAY, ['off', 'never', '0s', '23h', '4000d', '1y']],
  ['SIGNING_KEY_LEAD', '0s', 'signingKeyLead', 0, ['off', '2', '-1s', '8d']],
  ['PASSWORD_MIN_LENGTH', '6', 'passwordMinLength', 6, ['0', '257', '6.5', '-6', 'six', '1e1', '0x8']],
  ['PASSWORD_HASH', 'argon2id', 'passwordHash', 'argon2id', ['md5', 'BCRYPT']],
  ['BCRYPT_COST', '12', 'bcryptCost', 12, ['3', '21', '10,5']],
  ['HASH_QUEUE', '0', 'hashQueue', 0, ['-1', 'all', '100001']],
  ['REGISTRATION', 'closed', 'registrationOpen', false, ['no', 'Closed']],
  [
    'CORS_ORIGINS',
    'https://a.example.org, http://localhost:5173',
    'corsOrigins',
    ['https://a.example.org', 'http://localhost:5173'],
    ['*', 'https://a.example.org/', 'https://*.example.org', 'null', 'a.example.org', 'https://a.org,*'],
  ],
  [
    'AMQP_URL',
    'amqps://u:p@mq:5671/shop',
    'amqpUrl',
    'amqps://u:p@mq:5671/shop',
    ['mq:5672', 'http://mq', 'amqp://', 'amqp:///shop', 'amqp://mq:0', 'amqp://mq:99999'],
  ],
  // R16
  ...[
    ...[
      'capacitor://localhost',
      'tauri://localhost',
      'ionic://localhost',
      'http://tauri.localhost',
      'app://obsidian.md',
    ],
    ...['chrome-extension://abcdefghijklmnopabcdefghijklmnop', 'capacitor-electron://-', 'capacitor://localhost:8080'],
    ...['moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc', 'https://xn--e1afmkfd.example', 'http://[::1]:5173'],
    ...['vscode-webview://1v7rqc5', 'com.example.app://localhost', 'http://127.0.0.1:8080'],
  ].map((origin): (typeof SETTINGS)[number] => ['CORS_ORIGINS', origin, 'corsOrigins', [origin], []]),
  ...[
    ...['capacitor://localhost/', 'capacitor://localhost/app', 'tauri://localhost?x', 'tauri://localhost#x', 'file://'],
    ...['ionic://u@localhost', 'ionic://u:p@localhost', 'ionic://*', '*://localhost', 'ionic://local host', 'data:x'],
    ...['Capacitor://localhost', 'capacitor:localhost', '://localhost', 'localhost:5173', 'capacitor://localhost:x'],
    ...['https://A.example.org', 'HTTPS://a.example.org', 'https://a.example.org:443', 'http://a.example.org:80'],
    ...['https://пример.example', 'http://a.example.org:99999', 'https://a.example.org\\', 'https://a.example.org/x'],
    ...['https://a.example.org?', 'https://a.example.org#', 'https://u@a.example.org', 'http://0x7f.1', 'NULL'],
  ].map((origin): (typeof SETTINGS)[number] => [
    'CORS_ORIGINS',
    'https://a.example.org',
    'corsOrigins',
    ['https://a.example.org'],
    [origin, `https://b.example.org,${origin}`],
  ]),
  ['AMQP_EXCHANGE', 'shop.events', 'amqpExchange', 'shop.events', ['amq.topic', 'a b', 'x'.repeat(128)]],
  [
    'DATABASE_URL',
    'postgres://u:p@db:5432/ch202?prepare=false',
    'databaseUrl',
    'postgres://u:p@db:5432/ch202?prepare=false',
    [
      ...[
        'mysql://db/ch202',
        'db:5432',
        'postgres://db',
        'postgres://db/a/b',
        'postgres:///ch202',
        'postgres://db:0/a',
      ],
      ...['postgres://a,b/ch202', 'postgres://u:canary/1@db/ch202', 'postgres://db/ch202?search_path=x'],
      ...[
        'postgres://u:1/canary@db',
        'postgres://u:a%canary@db/ch202',
        'postgres://db/a%',
        'postgres:///ch202?host=/run',
      ],
      ...['postgres://db/a?sslmode=on', 'postgres://db/a?prepare=no', 'postgres://db/a?application_name='],
    ],
  ],
  ['NODE_NAME', 'db-1.example:7', 'nodeName', 'db-1.example:7', ['a b', 'a/b', 'a'.repeat(41)]],
  ['SMTP_URL', 'smtps://u:p@mail:465', 'smtpUrl', 'smtps://u:p@mail:465', ['mail:25', 'http://mail']],
  ['MAIL_FROM', 'App <a@b.org>', 'mailFrom', 'App <a@b.org>', ['a@b.org\r\nBcc: c@d.org']],
  ['INTERNAL_API_KEY', 'new, old', 'internalKeys', ['new', 'old'], ['', ' , ']],
  ['OPERATOR_API_KEY', 'new,old,', 'operatorKeys', ['new', 'old'], ['']],
  ['CH202_SECRET', 'new,old', 'secrets', ['new', 'old'], ['']],
  ['METRICS_API_KEY', 'new, old', 'metricsKeys', ['new', 'old'], []],
  [
    'TRUSTED_PROXIES',
    '127.0.0.1, 10.0.0.0/8,2001:db8::/32',
    'trustedProxies',
    ['127.0.0.1', '10.0.0.0/8', '2001:db8::/32'],
    ['proxy', '10.0.0.0/8/8', '*', '10.0.0.0/33', '2001:db8::/129', '300.0.0.1', '10.0.0'],
  ],
  [
    'BACKUP_PASSPHRASE',
    'twenty characters at least',
    'backupPassphrase',
    'twenty characters at least',
    ['short', 'x'.repeat(19)],
  ],
  ['RATE_LIMIT', 'off', 'rateLimit', false, ['no', 'false', 'OFF']],
  [
    'SUPPORT_ROLE',
    'HELP_DESK2',
    'supportRole',
    'HELP_DESK2',
    ['ADMIN', 'USER', 'support', '1ST', 'HELP DESK', 'A,B', 'S'.repeat(33)],
  ],
  ['LOG_LEVEL', 'debug', 'logLevel', 'debug', ['verbose', 'INFO']],
  ['LOG_FORMAT', 'pretty', 'logFormat', 'pretty', ['text']],
]

describe('each setting', () => {
  test.each(SETTINGS)('%s=%j', (name, value, field, expected) => {
    expect(read({ [name]: value })[field]).toEqual(expected as never)
    expect(read({ [name]: `  ${value} ` })[field]).toEqual(expected as never)
  })

  test.each(SETTINGS.map(([name]) => name).filter((name) => !(name in SECRETS)))('%s may be empty', (name) => {
    expect(read({ [name]: '' })).toEqual(read())
    expect(read({ [name]: '  ' })).toEqual(read())
  })

  const bad = SETTINGS.flatMap(([name, , , , values]) => values.map((value): [string, string] => [name, value]))
  test.each(bad)('%s may not be %j', (name, value) => {
    const faults = faultsOf({ ...SECRETS, [name]: value })
    expect(faults).toHaveLength(1)
    expect(faults[0]).toStartWith(`${name} `)
  })

  test.each([
    'https://key:secret@s3.example.org/bucket',
    'https://key:se%2Fcret@s3.example.org:9000/bucket/a/b/?region=eu-central-1',
    's3://bucket',
    's3://bucket/ch202?region=eu-central-1',
  ])('BACKUP_S3_URL may be %s', (address) => {
    const env = { BACKUP_S3_URL: address, BACKUP_PASSPHRASE: 'twenty characters at least' }
    expect(read(env)).toMatchObject({ backupS3Url: address })
  })

  const BUCKETS: [address: string, fault: RegExp][] = [
    ['ftp://canary@host/bucket', /must be an address such as/],
    ['bucket', /must be an address such as/],
    ['https://s3.example.org', /must name a bucket/],
    ['https://s3.example.org/B', /must name a bucket/],
    ['https://canary@s3.example.org/bucket', /a key and its secret, or neither/],
    ['s3://bucket?endpoint=x', /the option region, and no other/],
    ['https://k:canary@s3.example.org/bucket/ä', /a prefix of letters/],
    ['https://k:canary/1@s3.example.org/bucket', /must (be an address|name a bucket)/],
  ]
  test.each(BUCKETS)('BACKUP_S3_URL may not be %s', (address, fault) => {
    const env = { ...SECRETS, BACKUP_S3_URL: address, BACKUP_PASSPHRASE: 'twenty characters at least' }
    const faults = faultsOf(env)
    expect(faults).toEqual([expect.stringMatching(fault)])
    expect(faults[0]).toStartWith('BACKUP_S3_URL ')
    expect(faults[0]).not.toContain('canary')
  })

  test('BACKUP_S3_URL needs BACKUP_PASSPHRASE', () => {
    expect(faultsOf({ ...SECRETS, BACKUP_S3_URL: 's3://bucket' })).toEqual([
      expect.stringContaining('BACKUP_PASSPHRASE must be set with BACKUP_S3_URL'),
    ])
  })

  const MESSAGES: [setting: string, value: string, fault: RegExp][] = [
    ['PUBLIC_URL', 'https://x.example/?lang=ru', /without a query/],
    ['PUBLIC_URL', 'https://x.example/#/reset', /without a fragment/],
    ['PUBLIC_URL', 'https://ann:pw@x.example', /without a user or a password/],
    ['PUBLIC_URL', 'http://0.0.0.0:3000', /that other machines can reach/],
    ['ISSUER', 'https://id.example.org?x', /without a query/],
    ['ISSUER', 'http://[::]:3001', /that other machines can reach/],
    ['AUTH_URL', 'http://*:3001', /\* is not a host/],
    ['AUTH_URL', 'http://a.example/b', /without a path/],
    ['CORS_ORIGINS', 'https://a.example.org/', /it is an origin with a trailing slash/],
    ['CORS_ORIGINS', 'tauri://localhost/a', /it is an origin with a path/],
    ['CORS_ORIGINS', 'tauri://localhost?a', /it is an origin with a query/],
    ['CORS_ORIGINS', 'tauri://u@localhost', /it is an origin with a user/],
    ['CORS_ORIGINS', 'null', /it is null/],
    ['CORS_ORIGINS', '*', /it is a pattern/],
    [
      'CORS_ORIGINS',
      'http://a.example,https://A.example,*',
      /: number 2 is an origin in upper case.*; number 3 is a pattern/,
    ],
  ]
  test.each(MESSAGES)('R11, R16, R25: the message names the fault of %s=%s', (name, value, fault) => {
    expect(faultsOf({ ...SECRETS, [name]: value })).toEqual([expect.stringMatching(fault)])
  })

  test('R25: links lead to the issuer when no other machine can reach the combined process', () => {
    const ISSUER = 'https://id.example.org/'
    expect(read({ CH202_URL: 'http://0.0.0.0:3000', ISSUER }).publicUrl).toBe('https://id.example.org')
    expect(read({ CH202_URL: 'http://one:1', ISSUER }).publicUrl).toBe('http://one:1')
  })

  test('a key signs at least as long as its tokens are valid', () => {
    const fault = 'SIGNING_KEY_MAX_AGE must be at least JWT_EXPIRE'
    expect(faultsOf({ ...SECRETS, SIGNING_KEY_MAX_AGE: '2h', JWT_EXPIRE: '3h' })).toEqual([fault])
    expect(read({ SIGNING_KEY_MAX_AGE: '3h', JWT_EXPIRE: '3h' }).signingKeyMaxAge).toBe(3 * 3600 * SECOND)
  })

  test('R6: a key signs before it is due for rotation', () => {
    const fault = 'SIGNING_KEY_LEAD must be shorter than SIGNING_KEY_MAX_AGE'
    for (const SIGNING_KEY_LEAD of ['2h', '1d'])
      expect(faultsOf({ ...SECRETS, SIGNING_KEY_MAX_AGE: '2h', SIGNING_KEY_LEAD })).toEqual([fault])
    expect(read({ SIGNING_KEY_MAX_AGE: '2h', SIGNING_KEY_LEAD: '119m' }).signingKeyLead).toBe(119 * 60 * SECOND)
    expect(read({}).signingKeyLead).toBe(120 * SECOND)
  })

  test('the base of links in mails is the address of the services, unless set', () => {
    expect(read({ CH202_URL: 'http://one:1' }).publicUrl).toBe('http://one:1')
  })

  test('the pages have an address of their own, unless one process serves everything', () => {
    const env = { CH202_URL: 'http://one:1', WEB_URL: 'http://pages:2' }
    const config = readConfig({ ...SECRETS, ...env }, { ...SERVICES, web: { number: 0 } })
    expect([config.publicUrl, atOneAddress(config).publicUrl]).toEqual(['http://pages:2', 'http://one:1'])
    const PUBLIC_URL = 'https://id.example.org/'
    const behindProxy = readConfig({ ...SECRETS, ...env, PUBLIC_URL }, { ...SERVICES, web: { number: 0 } })
    expect(behindProxy.publicUrl).toBe('https://id.example.org')
    expect(atOneAddress(behindProxy).publicUrl).toBe('https://id.example.org')
  })

  test('R1: calls to the hosts of all addresses go through no proxy', () => {
    const env = {
      CH202_URL: 'http://One:1',
      AUTH_URL: 'http://[::ffff:10.0.0.2]:2',
      USERS_URL: 'http://10.0.0.2',
      MODULES_URL: 'http://[fd00::3]:3',
      PUBLIC_URL: 'https://id.example.org./app',
      SMTP_URL: 'smtp://user:password@MAIL.example.org:587',
      AMQP_URL: 'amqp://mq',
    }
    const hosts = ['10.0.0.2', 'fd00::3', 'one', 'id.example.org', 'mail.example.org', 'mq']
    expect(read(env).hosts).toEqual(expect.arrayContaining(hosts))
    expect(atOneAddress(read(env)).hosts).toEqual(read(env).hosts)
  })

  test('in one process every service has the same address', () => {
    const config = read({ CH202_URL: 'http://one:1', AUTH_URL: 'http://two:2' })
    expect(atOneAddress(config)).toEqual({
      ...config,
      addresses: { auth: 'http://one:1', users: 'http://one:1', modules: 'http://one:1' },
    })
  })
})

describe('R11: SMTP_URL names a server, or stops the start', () => {
  test.each([
    'smtp://mail.example.org',
    'smtp://mail:2525/',
    'smtp://[::1]:25',
    'smtp://mail_server:1025',
    'smtp://u:p%40ss@почта.рф',
    'smtps://u:p@mail?requireTLS=false&tls.rejectUnauthorized=false',
    'smtp://u:p@mail?name=shop.example.org&tls.servername=mx.example.org',
  ])('%s', (SMTP_URL) => {
    expect(read({ SMTP_URL }).smtpUrl).toBe(SMTP_URL)
  })

  test.each([
    ['smtp://', 'host'],
    ['smtps://', 'host'],
    ['smtp:mail', 'host'],
    ['smtp:///mail', 'host'],
    ['smtp://?requireTLS=true', 'host'],
    ['smtp://a%2fb', 'host'],
    ['smtp://mail:0', 'port'],
    ['smtp://mail:99999', 'address'],
    ['smtps://mail/a/b', '%2F'],
    ['smtp://canary:12/34@mail', '%2F'],
    ['smtp://canary:12#34@mail', '%23'],
    ['smtp://canary:12?34canary@mail', '%3F'],
    ['smtp://canary@mail', 'password'],
    ['smtp://:canary@mail', 'user'],
    ['"smtp://mail"', 'address'],
    ['smtp://mail?pool=true', 'requireTLS'],
    ['smtp://mail?requireTLS=no', 'true or false'],
    ['smtp://mail?requireTLS=true&requireTLS=false', 'once'],
    ['smtp://mail?tls.rejectUnauthorized=0', 'true or false'],
    ['smtp://mail?logger=true&debug=true', 'no others'],
    ['smtp://mail?socketTimeout=1', 'no others'],
    ['smtp://mail?name=a%0d%0aMAIL', 'name of a host'],
  ])('%s', (SMTP_URL, word) => {
    const [fault, ...others] = faultsOf({ ...SECRETS, SMTP_URL })
    expect(others).toEqual([])
    expect(fault).toStartWith('SMTP_URL ')
    expect(fault).toContain(word)
    expect(fault).not.toContain('canary')
  })
})

describe('R26: what a password in SMTP_URL requires of its server', () => {
  const PLAIN = { secure: false, requireTLS: false, open: false }
  test.each([
    ['smtp://u:p@mail', { ...PLAIN, requireTLS: true }],
    ['smtp://u:p@mail:465', { ...PLAIN, requireTLS: true }],
    ['smtp://u:p@192.0.2.1:25', { ...PLAIN, requireTLS: true }],
    ['smtp://u:p@0.0.0.0', { ...PLAIN, requireTLS: true }],
    ['smtp://u:p@localhost.example.org', { ...PLAIN, requireTLS: true }],
    ['smtp://u:p@[2001:db8::1]', { ...PLAIN, requireTLS: true }],
    ['smtp://u:p@mail?requireTLS=true', { ...PLAIN, requireTLS: true }],
    ['smtp://u:p@mail?requireTLS=false', { ...PLAIN, open: true }],
    ['smtp://u:p@mail?tls.rejectUnauthorized=false', { ...PLAIN, requireTLS: true, open: true }],
    ['smtps://u:p@mail', { ...PLAIN, secure: true }],
    ['smtps://u:p@mail?tls.rejectUnauthorized=false', { ...PLAIN, secure: true, open: true }],
    ['smtp://mail', PLAIN],
    ['smtp://mail?requireTLS=true', { ...PLAIN, requireTLS: true }],
    ['smtp://u:p@localhost', PLAIN],
    ['smtp://u:p@LOCALHOST', PLAIN],
    ['smtp://u:p@mail.localhost', PLAIN],
    ['smtp://u:p@127.0.0.2:25', PLAIN],
    ['smtp://u:p@[::1]', PLAIN],
    ['smtp://u:p@127.0.0.1?requireTLS=true', { ...PLAIN, requireTLS: true }],
  ])('%s', (address, expected) => {
    const server = readSmtpUrl(address)
    if (typeof server === 'string') throw new Error(server)
    const { requireTLS, secure } = server
    expect({ secure, requireTLS, open: isOpenToOthers(server) }).toEqual(expected)
  })

  test('the parts of the address are decoded, unless a percent sign encodes nothing', () => {
    expect(readSmtpUrl('smtps://a%40b:p%3A%2F%zz@[::1]?name=shop.example.org')).toEqual({
      host: '::1',
      port: 465,
      secure: true,
      requireTLS: false,
      auth: { user: 'a@b', pass: 'p%3A%2F%zz' },
      name: 'shop.example.org',
      tls: { rejectUnauthorized: true },
    })
    expect(readSmtpUrl('smtp://a%40b:p%3A%2F@mail')).toMatchObject({ port: 587, auth: { user: 'a@b', pass: 'p:/' } })
  })
})

describe('R11: MAIL_FROM is one address, or stops the start', () => {
  test.each([
    ['a@example.org', '', 'a@example.org'],
    ['<a@example.org>', '', 'a@example.org'],
    ['Ann <a@example.org>', 'Ann', 'a@example.org'],
    ['Ann <a.b+c@sub.example.org>', 'Ann', 'a.b+c@sub.example.org'],
    ['"Ann, Inc." <a@example.org>', 'Ann, Inc.', 'a@example.org'],
    ['"Ann \\"The Shop\\"" <a@example.org>', 'Ann "The Shop"', 'a@example.org'],
    ["O'Neil & Sons (test) <a@example.org>", "O'Neil & Sons (test)", 'a@example.org'],
    ['Ch202 <no-reply@localhost>', 'Ch202', 'no-reply@localhost'],
    ['Магазин <no-reply@example.org>', 'Магазин', 'no-reply@example.org'],
    ['Магазин <no-reply@пример.рф>', 'Магазин', 'no-reply@xn--e1afmkfd.xn--p1ai'],
    ['no-reply@bücher.example', '', 'no-reply@xn--bcher-kva.example'],
  ])('%s', (MAIL_FROM, name, address) => {
    expect(read({ MAIL_FROM }).mailFrom).toBe(MAIL_FROM)
    expect(readSender(MAIL_FROM)).toMatchObject({ name, address })
  })

  test.each([
    'Example',
    '"Ann <a@example.org>"',
    "'Ann <a@example.org>'",
    '"a@example.org"',
    'a@example.org, b@example.org',
    'Ann <a@example.org>, Bea <b@example.org>',
    'a@example.org;b@example.org',
    'Team: a@example.org, b@example.org;',
    'Ann, Inc. <a@example.org>',
    'Ann <a@example.org> (shop)',
    'Ann <a@example.org>>',
    'Ann <a@example.org',
    'a@example.org>',
    'Ann a@example.org',
    'Ann <>',
    'Ann <a>',
    'a@',
    '@example.org',
    'a@@example.org',
    'a b@example.org',
    'анна@example.org',
    'ä@example.org',
    'a..b@example.org',
    '.a@example.org',
    'a@example..org',
    'a@.example.org',
    'a@-example.org',
    'a@exa_mple.org',
    'a@example.org.',
    'a@127.0.0.1',
    'a@example.org/x',
    'mailto:a@example.org',
    'Ann\t<a@example.org>',
    'Ann <a@example.org>\u2028Bcc: b@example.org',
    `${'a'.repeat(65)}@example.org`,
    `a@${'a'.repeat(64)}.org`,
    `a@${`${'a'.repeat(60)}.`.repeat(4)}example.org`,
  ])('%j', (MAIL_FROM) => {
    expect(faultsOf({ ...SECRETS, MAIL_FROM })).toEqual([expect.stringMatching(/^MAIL_FROM must /)])
  })
})

describe('faults', () => {
  test('are reported together, in one message, without the values', () => {
    const env = Object.fromEntries(
      SETTINGS.filter(([, , , , bad]) => bad.length > 0).map(([name, , , , [value]]) => [name, value]),
    )
    const faults = faultsOf(env)
    expect(faults.map((fault) => fault.split(' ')[0]).toSorted()).toEqual(Object.keys(env).toSorted())
    const { message } = new ConfigError(faults)
    expect(message.split('\n')).toHaveLength(faults.length + 1)
    for (const fault of faults) expect(message).toContain(`  - ${fault}`)
  })

  test('the message never contains a secret', () => {
    const secret = 'short-canary'
    const env = {
      CH202_ENV: 'production',
      INTERNAL_API_KEY: secret,
      OPERATOR_API_KEY: secret,
      CH202_SECRET: secret,
      SMTP_URL: 'http://user:canary-too@mail',
      AMQP_URL: 'http://user:canary-three@mq',
      JWT_EXPIRE: 'x',
    }
    const message = new ConfigError(faultsOf(env)).message
    expect(message).toContain('SMTP_URL')
    expect(message).toContain('AMQP_URL must be an address such as amqp://127.0.0.1:5672')
    expect(message).not.toContain('canary')
  })

  test('the same key in both settings, at any place of the list, is a fault', () => {
    const faults = faultsOf({
      ...SECRETS,
      OPERATOR_API_KEY: `other-key-of-32-characters-and-more,${SECRETS.INTERNAL_API_KEY}`,
    })
    expect(faults).toEqual([expect.stringContaining('must differ')])
  })

  test.each(Object.keys(SECRETS) as (keyof typeof SECRETS)[])(
    'a key for metrics that is also a value of %s, at any place of the lists, is a fault',
    (name) => {
      const faults = faultsOf({
        ...SECRETS,
        [name]: `another-of-32-characters-and-more,${SECRETS[name]}`,
        METRICS_API_KEY: `key-for-metrics-of-32-characters,${SECRETS[name]}`,
      })
      expect(faults).toEqual([`METRICS_API_KEY must differ from ${name}: it opens metrics alone`])
      expect(faults.join()).not.toContain(SECRETS[name])
    },
  )
})

describe('the secrets in production', () => {
  const production = { ...SECRETS, CH202_ENV: 'production' }

  test('are accepted when valid', () => {
    expect(readConfig(production, SERVICES)).toMatchObject({ production: true, secrets: [SECRETS.CH202_SECRET] })
  })

  const rows = [...Object.keys(SECRETS), 'METRICS_API_KEY'].flatMap((name) =>
    [
      ['missing', undefined],
      ['short', 'a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p'],
      ['short in the second place', `${SECRETS.CH202_SECRET}x,short`],
      ['a sample', 'change-me-change-me-change-me-change-me'],
      ['a sample too', 'your-secret-key-of-thirty-two-characters'],
      ['one character over and over', 'x'.repeat(40)],
    ]
      // The key for metrics may be unset.
      .filter(([what]) => name !== 'METRICS_API_KEY' || what !== 'missing')
      .map(([what, value]): [string, string | undefined, string | undefined] => [name, what, value]),
  )
  test.each(rows)('%s %s stops the start', (name, _, value) => {
    const faults = faultsOf({ ...production, [name]: value })
    expect(faults).toHaveLength(1)
    expect(faults[0]).toStartWith(`${name} `)
  })

  test('all three missing are three faults', () => {
    expect(faultsOf({ CH202_ENV: 'production' })).toHaveLength(3)
  })

  test('may be short in development', () => {
    expect(
      readConfig({ INTERNAL_API_KEY: 'a', OPERATOR_API_KEY: 'b', CH202_SECRET: 'c' }, SERVICES).internalKeys,
    ).toEqual(['a'])
  })
})
