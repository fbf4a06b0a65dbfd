import { afterAll, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, runTool, temporary } from '../support/tool.ts'

setDefaultTimeout(120_000)

const folder = temporary('config')
afterAll(folder.remove)

interface Row {
  name: string
  value: string | null
  origin: string | null
}

const KEPT = 'kept-0123456789-0123456789-0123456789'

/** Runs `config show` on a data directory that does not exist yet. */
async function show(env: Record<string, string> = {}, words: string[] = ['--origin']) {
  const settings = { XDG_CONFIG_HOME: folder.fresh(), CH202_DATA_DIR: folder.fresh(), CH202_ENV: '', ...env }
  const ended = await runTool(['config', 'show', ...words, '-o', 'json'], { env: settings })
  const rows = ended.status === 0 ? (JSON.parse(ended.stdout).items as Row[]) : []
  return {
    ...ended,
    dataDir: settings.CH202_DATA_DIR,
    row: (name: string) => rows.find((one) => one.name === name),
    rows,
  }
}

test('show has every setting of the documentation, and no other', async () => {
  const { rows, dataDir } = await show()
  const section =
    readFileSync(join(ROOT, 'docs/operate/settings.md'), 'utf8')
      .split(/^## All settings$/m)[1]
      ?.split(/^## /m)[0] ?? ''
  const documentedNames = section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`([A-Z0-9_]+)`/g)].map(([, name]) => name ?? ''))
  expect(documentedNames.length).toBeGreaterThan(25)
  const outputNames = rows.map(({ name }) => name).filter((name) => /^[A-Z]/.test(name))
  expect(outputNames.sort()).toEqual(documentedNames.sort())
  // The command creates nothing.
  expect(existsSync(dataDir)).toBe(false)
})

test('show prints the value in force, and with --origin where it comes from', async () => {
  const dataDir = folder.fresh()
  mkdirSync(join(dataDir, 'run'), { recursive: true })
  writeFileSync(
    join(dataDir, 'secrets.env'),
    `OPERATOR_API_KEY=${KEPT}\nCH202_SECRET=${KEPT}\nMETRICS_API_KEY=${KEPT}\nJWT_EXPIRE=3h\n`,
  )
  writeFileSync(join(dataDir, 'run', 'auth.json'), JSON.stringify({ url: 'http://127.0.0.1:5' }))
  const file = join(dataDir, 'secrets.env')
  const secretInEnvironment = 'given-0123456789-0123456789-0123456789'
  const { row, stdout } = await show({
    CH202_DATA_DIR: dataDir,
    REFRESH_EXPIRE: '2d',
    CH202_SECRET: secretInEnvironment,
    SMTP_URL: 'smtps://mailer:mail-password@mail.example.org',
    AMQP_URL: 'amqps://publisher:broker-password@mq.example.org/shop',
    USERS_URL: 'http://127.0.0.1:6',
  })
  const table: [name: string, value: string | null, origin: string][] = [
    ['JWT_EXPIRE', '3h', file],
    ['REFRESH_EXPIRE', '2d', 'environment'],
    ['REFRESH_EXPIRE_V0', '30d', 'default'],
    ['ISSUER', null, 'default'],
    ['PUBLIC_URL', 'http://127.0.0.1:3000', 'default'],
    ['SMTP_URL', 'smtps://***@mail.example.org', 'environment'],
    ['AMQP_URL', 'amqps://***@mq.example.org/shop', 'environment'],
    ['AMQP_EXCHANGE', 'ch202', 'default'],
    ['CH202_SECRET', 'set', 'environment'],
    ['OPERATOR_API_KEY', 'from the first start', file],
    ['INTERNAL_API_KEY', 'missing', 'default'],
    ['METRICS_API_KEY', 'set', file],
    ['context', 'local', 'ch202 context use'],
    ['auth_address', 'http://127.0.0.1:5', join(dataDir, 'run')],
    ['users_address', 'http://127.0.0.1:6', 'USERS_URL'],
    ['modules_address', 'http://127.0.0.1:3003', 'default'],
    ['credential', 'key', file],
  ]
  for (const [name, value, origin] of table) expect(row(name)).toEqual({ name, value, origin })
  for (const secret of [
    secretInEnvironment,
    KEPT,
    KEPT.slice(0, 6),
    'mail-password',
    'mailer',
    'broker-password',
    'publisher',
  ])
    expect(stdout.includes(secret)).toBe(false)
  expect((await show({}, [])).row('METRICS_API_KEY')).toEqual({ name: 'METRICS_API_KEY', value: null } as Row)
  expect((await show({}, [])).row('JWT_EXPIRE')).toEqual({ name: 'JWT_EXPIRE', value: '1h' } as Row)
})

test('show prints the settings even if the address of the services is invalid', async () => {
  const env = { AUTH_URL: 'nonsense', JWT_EXPIRE: 'soon', XDG_CONFIG_HOME: folder.fresh() }
  const { status, stderr, stdout } = await runTool(['config', 'show'], { env })
  expect([status, stderr]).toEqual([2, expect.stringContaining('The address is not valid')])
  expect(stdout).toMatch(/^AUTH_URL +nonsense$/m)
})

const good = { INTERNAL_API_KEY: 'a'.repeat(40), OPERATOR_API_KEY: 'b'.repeat(40), CH202_SECRET: 'c'.repeat(40) }
const strong = {
  INTERNAL_API_KEY: 'Zm9v-0123456789-0123456789-0123456789',
  OPERATOR_API_KEY: 'YmFy-0123456789-0123456789-0123456789',
  CH202_SECRET: 'cXV4-0123456789-0123456789-0123456789',
}
const production = { CH202_ENV: 'production' }
const half = `INTERNAL_API_KEY=${strong.INTERNAL_API_KEY}\nOPERATOR_API_KEY=${strong.OPERATOR_API_KEY}\n`
const allSecrets = `${half}CH202_SECRET=${strong.CH202_SECRET}\n`

const cases: [name: string, env: Record<string, string>, secrets: string | undefined, faults: string[]][] = [
  ['nothing set', {}, undefined, []],
  ['all secrets set', good, undefined, []],
  ['secrets in the file', {}, allSecrets, []],
  ['a file of secrets that lacks one', {}, half, ['CH202_SECRET is missing']],
  ['production, nothing set', production, undefined, ['INTERNAL_API_KEY', 'OPERATOR_API_KEY', 'CH202_SECRET']],
  ['production, strong secrets', { ...production, ...strong }, undefined, []],
  ['production, secrets of one letter', { ...production, ...good }, undefined, ['INTERNAL', 'OPERATOR', 'SECRET']],
  [
    'several faults',
    { JWT_EXPIRE: 'soon', BCRYPT_COST: '99', AUTH_URL: 'x' },
    allSecrets,
    ['AUTH_URL', 'JWT', 'BCRYPT'],
  ],
]

test('validate reports every fault that a start would, exits 10, and creates nothing', async () => {
  const validate = async ([name, settings, secrets, faults]: (typeof cases)[number]) => {
    const dataDir = folder.fresh()
    if (secrets !== undefined) {
      mkdirSync(dataDir)
      writeFileSync(join(dataDir, 'secrets.env'), secrets)
    }
    const env = { CH202_ENV: 'development', CH202_DATA_DIR: dataDir, ...settings }
    const { status, stderr, stdout } = await runTool(['config', 'validate', '-o', 'json'], { env })
    const report = JSON.parse(stdout)
    expect([name, status, stderr]).toEqual([name, faults.length === 0 ? 0 : 10, ''])
    expect([name, report.ok, report.faults.length]).toEqual([name, faults.length === 0, faults.length])
    for (const [at, part] of faults.entries())
      expect([name, report.faults[at]]).toEqual([name, expect.stringContaining(part)])
    for (const secret of [...Object.values(strong), ...Object.values(good)]) expect(stdout.includes(secret)).toBe(false)
    expect([name, existsSync(dataDir)]).toEqual([name, secrets !== undefined])
  }
  await Promise.all(cases.map(validate))
  const { status, stdout } = await runTool(['config', 'validate'], { env: { ...good, JWT_EXPIRE: 'soon' } })
  expect([status, stdout]).toEqual([10, 'JWT_EXPIRE must be a duration such as 30s, 10m, 1h or 7d\n'])
})
