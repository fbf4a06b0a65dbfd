import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ALERTS } from '../../../cli/commands/package/prometheus-alerts.ts'
import { SERVICE_NAMES } from '../../../services/registry.ts'
import { eventually, PATIENCE } from '../../support/eventually.ts'
import { scrape } from '../../support/metrics.ts'
import { overProcesses } from '../../support/processes.ts'
import { running } from '../../support/running.ts'
import { freePort } from '../../support/servers/ports.ts'
import { addressSettings } from '../../support/settings.ts'
import { openShell } from '../../support/shell.ts'
import { launch, runTool, temporary } from '../../support/tool.ts'
import { sliced } from '../../support/whole.ts'
import { need, run } from './programs.ts'

setDefaultTimeout(2 * PATIENCE)

const folder = temporary('package-prometheus')
afterAll(() => folder.remove())

const KEY = 'key-for-metrics-of-the-tests-0123456789ab'
let keys = 0
const FILES = ['ch202.dashboard.json', 'ch202.rules.yml', 'prometheus.yml']

/** Writes the files into a new directory, for a key file that exists. */
async function written(env: Record<string, string> = {}, ...options: string[]) {
  const directory = folder.fresh()
  const keyFile = join(folder.path, `key-${++keys}`)
  writeFileSync(keyFile, `${KEY}\n`, { mode: 0o600 })
  const words = ['package', 'prometheus', '--out', directory, '--key-file', keyFile, ...options]
  const ended = await runTool(words, { env })
  expect([ended.status, ended.stdout]).toEqual([0, ''])
  expect(readdirSync(directory).sort()).toEqual(FILES)
  const read = (name: string) => readFileSync(join(directory, name), 'utf8')
  return {
    directory,
    keyFile,
    read,
    config: join(directory, 'prometheus.yml'),
    rules: join(directory, 'ch202.rules.yml'),
  }
}

const promtool = (...words: string[]) => run([need('promtool', 'prometheus'), ...words])

/** The metrics that a text names. */
const namesIn = (text: string) => new Set(text.match(/\bch202_[a-z_]+/g) ?? [])

describe('S5: what `package prometheus` writes', () => {
  test('is valid for Prometheus: the configuration and the rules', async () => {
    const { config, rules } = await written()
    const checked = await promtool('check', 'config', config)
    expect([checked.status, checked.stdout]).toEqual([0, expect.stringContaining(`${ALERTS.length} rules found`)])
    const rulesChecked = await promtool('check', 'rules', rules)
    expect([rulesChecked.status, rulesChecked.stdout]).toEqual([
      0,
      expect.stringContaining(`SUCCESS: ${ALERTS.length}`),
    ])
    // The rule file stands beside the configuration, and so does what it needs to find the key.
    writeFileSync(config, readFileSync(config, 'utf8').replace('ch202.rules.yml', 'other.yml'))
    expect((await promtool('check', 'config', config)).status).not.toBe(0)
  })

  const targetsOf = (text: string) => [...text.matchAll(/^ {10}- "(.*)"$/gm)].map(([, target]) => target)

  test.each([
    ['each service', {}, [], ['127.0.0.1:3001', '127.0.0.1:3002', '127.0.0.1:3003', '127.0.0.1:3000']],
    ['one process', {}, ['--url', 'http://127.0.0.1:3000/'], ['127.0.0.1:3000']],
    [
      'addresses of the settings',
      { AUTH_URL: 'http://10.0.0.7:81', WEB_URL: 'https://id.example.org' },
      [],
      ['10.0.0.7:81', '127.0.0.1:3002', '127.0.0.1:3003', 'id.example.org:443'],
    ],
    [
      'every node',
      { DATABASE_URL: 'postgres://ch202@127.0.0.1:5432/ch202' },
      ['--hosts', '10.0.0.1, 10.0.0.2'],
      ['10.0.0.1', '10.0.0.2'].flatMap((host) => [`${host}:3000`, `${host}:3001`, `${host}:3002`, `${host}:3003`]),
    ],
  ] as [string, Record<string, string>, string[], string[]][])('scrapes %s', async (_, env, options, targets) => {
    const { config, read } = await written(env, ...options)
    expect(targetsOf(read('prometheus.yml')).sort()).toEqual(targets.sort())
    expect((await promtool('check', 'config', config)).status).toBe(0)
    expect(read('prometheus.yml').includes('__scheme__: https')).toBe(targets.some((target) => target.endsWith(':443')))
  })

  test('without --out it is printed, and -o json gives the files', async () => {
    const printed = await runTool(['package', 'prometheus'])
    expect([printed.status, printed.stderr]).toEqual([0, ''])
    for (const name of FILES) expect(printed.stdout).toContain(`# ${name}\n`)
    expect(printed.stdout).toContain('credentials_file: /etc/prometheus/ch202-metrics-key')
    const { stdout } = await runTool(['package', 'prometheus', '-o', 'json'])
    expect(
      JSON.parse(stdout)
        .items.map(({ path }: { path: string }) => path)
        .sort(),
    ).toEqual(FILES)
  })

  test('is written again only when it differs', async () => {
    const directory = folder.fresh()
    const again = async () =>
      JSON.parse((await runTool(['package', 'prometheus', '--out', directory, '-o', 'json'])).stdout)
    expect([(await again()).changed, (await again()).changed]).toEqual([true, false])
  })

  test.each([
    ['a key file that is no absolute path', ['--key-file', 'key'], '--key-file'],
    ['a key file of more than a path', ['--key-file', '/etc/key"\nx: y'], '--key-file'],
    ['nodes without a database', ['--hosts', '10.0.0.1,10.0.0.2'], 'DATABASE_URL'],
    ['an invalid host', ['--hosts', 'a b'], '--hosts'],
    ['an address with a path', ['--url', 'http://127.0.0.1:3000/ch202'], 'An address to scrape'],
  ])('%s is refused', async (_, options, message) => {
    const { status, stderr } = await runTool(['package', 'prometheus', ...options])
    expect([status, stderr]).toEqual([2, expect.stringContaining(message)])
  })

  test('each alert has a summary, and a command of the tool that exists', async () => {
    const commands = ALERTS.map(({ command }) => command.replaceAll('{{ $labels.service }}', 'users'))
    for (const { name, summary } of ALERTS) expect([name, summary.length > 20]).toEqual([name, true])
    const shell = openShell('alerts', { CH202_URL: `http://127.0.0.1:${freePort()}`, XDG_CONFIG_HOME: folder.fresh() })
    for (const command of sliced([...new Set(commands)], 3)) {
      expect(command).toStartWith('ch202 ')
      // A wrong word or option is refused before anything else: 2.
      const { status, stderr } = await shell.run(command)
      expect([command, status === 2 ? stderr : '']).toEqual([command, ''])
    }
  })
})

/** Series of a rule test: the name with its labels, and its values minute by minute. */
type Series = [series: string, values: string]

const job = 'job="ch202"'

describe('S5: the alerts fire', () => {
  const cases: [alert: string, at: string, series: Series[], labels: Record<string, string> | null][] = [
    ['Ch202Down', '1m', [[`up{${job}, instance="a:1"}`, '1 0 0 0']], null],
    ['Ch202Down', '3m', [[`up{${job}, instance="a:1"}`, '1 0 0 0']], { instance: 'a:1' }],
    [
      'Ch202NotReady',
      '4m',
      [
        [`ch202_ready{${job}, instance="a:1", service="auth"}`, '1x10'],
        [`ch202_ready{${job}, instance="a:2", service="users"}`, '1 0x10'],
      ],
      { instance: 'a:2', service: 'users' },
    ],
    [
      'Ch202Errors',
      '15m',
      [
        [requests('/api/v1/auth/login', 200), '0+20x20'],
        [requests('/api/v1/auth/login', 500), '0+2x20'],
      ],
      { service: 'auth' },
    ],
    [
      // A balancer asks a node that is not ready.
      'Ch202Errors',
      '15m',
      [
        [requests('/api/v1/auth/login', 200), '0+20x20'],
        [requests('/api/v1/health/ready', 503), '0+60x20'],
      ],
      null,
    ],
    [
      'Ch202Errors',
      '15m',
      [
        [requests('/a', 200), '0+2000x20'],
        [requests('/a', 500), '0+2x20'],
      ],
      null,
    ],
    [
      'Ch202HashQueueFull',
      '15m',
      [[`ch202_hash_queue_shed_total{${job}, instance="a:1"}`, '0+1x20']],
      { instance: 'a:1' },
    ],
    ['Ch202HashQueueFull', '15m', [[`ch202_hash_queue_shed_total{${job}, instance="a:1"}`, '7x20']], null],
    ['Ch202NoticesLate', '9m', [[outbox('users', 'auth'), '0 61 121 181+60x20']], { service: 'users', outbox: 'auth' }],
    ['Ch202MailsLate', '20m', [[outbox('auth', 'mails'), '0+60x30']], { service: 'auth', outbox: 'mails' }],
    ['Ch202MailsLate', '9m', [[outbox('auth', 'mails'), '0+60x30']], null],
    [
      'Ch202MailsFail',
      '20m',
      [
        [`ch202_mails_total{${job}, instance="a:1", outcome="sent"}`, '90x30'],
        [`ch202_mails_total{${job}, instance="a:1", outcome="retry"}`, '0+1x30'],
      ],
      {},
    ],
    [
      'Ch202MailsFail',
      '20m',
      [
        [`ch202_mails_total{${job}, instance="a:1", outcome="sent"}`, '0+9x30'],
        [`ch202_mails_total{${job}, instance="a:1", outcome="retry"}`, '0+1x30'],
      ],
      null,
    ],
    ['Ch202DeadLetters', '10m', [[`ch202_deliveries_dead{${job}, instance="a:1"}`, '3x20']], {}],
    [
      'Ch202BackupOld',
      '2h',
      [
        [
          `ch202_backup_verified_age_seconds{${job}, instance="a:1"}`,
          Array.from({ length: 200 }, () => '+Inf').join(' '),
        ],
      ],
      {},
    ],
    ['Ch202BackupOld', '2h', [[`ch202_backup_verified_age_seconds{${job}, instance="a:1"}`, '86400x200']], null],
    ['Ch202BackupDrillOld', '2h', [[`ch202_backup_drill_age_seconds{${job}, instance="a:1"}`, '777600x200']], {}],
    ['Ch202BackupDrillOld', '2h', [[`ch202_backup_drill_age_seconds{${job}, instance="a:1"}`, '604800x200']], null],
    // Without a bucket there is no such metric.
    ['Ch202BackupDrillOld', '2h', [[`ch202_backup_verified_age_seconds{${job}, instance="a:1"}`, '777600x200']], null],
    ['Ch202Slow', '20m', slow('/api/v1/auth/me', 3), { service: 'auth' }],
    ['Ch202Slow', '20m', slow('/api/v1/auth/me', 1), null],
    ['Ch202Slow', '20m', slow('/api/v1/users/import', 3), null],
    ['Ch202DeliveriesLate', '80m', [[outbox('auth', 'webhooks'), '0+60x90']], { service: 'auth', outbox: 'webhooks' }],
    ['Ch202DeliveriesLate', '80m', [[outbox('auth', 'mails'), '0+60x90']], null],
    ['Ch202DeliveriesFail', '40m', deliveries('0+1x50', '9x50'), { receiver: 'amqp' }],
    ['Ch202DeliveriesFail', '40m', deliveries('0+1x50', '0+2x50'), null],
    [
      'Ch202LogoutsLate',
      '20m',
      [[outbox('auth', 'client_logouts'), '0+60x30']],
      { service: 'auth', outbox: 'client_logouts' },
    ],
    ['Ch202LogoutsLate', '9m', [[outbox('auth', 'client_logouts'), '0+60x30']], null],
    ['Ch202SigningKeyOld', '2h', keyAges(92), { alg: 'EdDSA' }],
    ['Ch202SigningKeyOld', '2h', keyAges(90.5), null],
    [
      'Ch202LoginsFail',
      '15m',
      [
        [`ch202_logins_total{${job}, instance="a:1", outcome="succeeded"}`, '0+10x20'],
        [`ch202_logins_total{${job}, instance="a:1", outcome="refused"}`, '0+100x20'],
      ],
      {},
    ],
    [
      'Ch202LoginsFail',
      '15m',
      [
        [`ch202_logins_total{${job}, instance="a:1", outcome="succeeded"}`, '0+1000x20'],
        [`ch202_logins_total{${job}, instance="a:1", outcome="refused"}`, '0+100x20'],
      ],
      null,
    ],
  ]

  function requests(route: string, status: number): string {
    return `ch202_http_request_duration_seconds_count{${job}, instance="a:1", service="auth", route="${route}", status="${status}"}`
  }
  function outbox(service: string, name: string): string {
    return `ch202_outbox_oldest_seconds{${job}, instance="a:1", service="${service}", outbox="${name}"}`
  }
  /** @param slow how many of 100 requests a minute take between one second and two */
  function slow(route: string, slow: number): Series[] {
    const bucket = (le: string) =>
      `ch202_http_request_duration_seconds_bucket{${job}, instance="a:1", service="auth", route="${route}", le="${le}"}`
    return [
      [bucket('1'), `0+${100 - slow}x30`],
      [bucket('2'), '0+100x30'],
      [bucket('+Inf'), '0+100x30'],
    ]
  }
  function deliveries(postponed: string, delivered: string): Series[] {
    const series = (outcome: string) =>
      `ch202_deliveries_total{${job}, instance="a:1", receiver="amqp", outcome="${outcome}"}`
    return [
      [series('postponed'), postponed],
      [series('delivered'), delivered],
    ]
  }
  function keyAges(days: number): Series[] {
    return [
      [`ch202_signing_key_age_seconds{${job}, instance="a:1", service="auth", alg="EdDSA"}`, `${days * 86_400}x200`],
      [`ch202_signing_key_max_age_seconds{${job}, instance="a:1", service="auth"}`, `${90 * 86_400}x200`],
    ]
  }

  test('when they should, and only then', async () => {
    const { directory, rules } = await written()
    const tests = cases.map(([alertname, eval_time, series, labels]) => {
      const { severity = '' } = ALERTS.find(({ name }) => name === alertname) ?? {}
      return {
        interval: '1m',
        input_series: series.map(([name, values]) => ({ series: name, values })),
        alert_rule_test: [
          {
            eval_time,
            alertname,
            exp_alerts: labels === null ? [] : [{ exp_labels: { severity, job: 'ch202', ...labels } }],
          },
        ],
      }
    })
    const file = join(directory, 'tests.yml')
    // JSON is YAML. The annotations are those of the table, which the test below sees in Prometheus.
    writeFileSync(file, JSON.stringify({ rule_files: [withoutAnnotations(rules)], evaluation_interval: '1m', tests }))
    const { status, stderr, stdout } = await promtool('test', 'rules', file)
    expect([status, stdout + stderr]).toEqual([0, expect.stringContaining('SUCCESS')])
  })

  /** promtool compares annotations too. */
  function withoutAnnotations(rules: string): string {
    const path = `${rules}.bare`
    writeFileSync(path, readFileSync(rules, 'utf8').replace(/^ {8}annotations:\n(?: {10}.*\n)*/gm, ''))
    return path
  }
})

describe('S5: Prometheus, with the key file', () => {
  const here = running(overProcesses('apart'), {
    METRICS_API_KEY: KEY,
    // For its metric: nothing is written there.
    BACKUP_S3_URL: 'https://key:secret@s3.example.org/backups',
    BACKUP_PASSPHRASE: 'passphrase of the tests, 0123456789',
  })

  test('scrapes every service, and knows the rules; each metric of the rules and of the dashboard is there', async () => {
    const { system } = here
    const { config, directory, read } = await written(addressSettings((name) => system.url[name]))
    // Faster than in production.
    writeFileSync(config, readFileSync(config, 'utf8').replaceAll('15s', '200ms'))
    const address = `127.0.0.1:${freePort()}`
    const prometheus = launch([
      need('prometheus', 'prometheus'),
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(directory, 'data')}`,
      `--web.listen-address=${address}`,
      '--log.level=error',
    ])
    const ask = async (path: string) => (await (await fetch(`http://${address}/api/v1/${path}`)).json()).data
    const query = async (expression: string) => (await ask(`query?query=${encodeURIComponent(expression)}`)).result
    try {
      await eventually(async () => (await query('up').catch(() => [])).length === SERVICE_NAMES.length)
      await eventually(async () => (await query('up == 1')).length === SERVICE_NAMES.length)
      const { activeTargets } = await ask('targets')
      expect(
        activeTargets.map(({ health, lastError }: { health: string; lastError: string }) => [health, lastError]),
      ).toEqual(SERVICE_NAMES.map(() => ['up', '']))
      await eventually(async () => (await query('ch202_ready == 1')).length === SERVICE_NAMES.length)
      const { groups } = await ask('rules')
      expect(groups[0].rules.map(({ name }: { name: string }) => name)).toEqual(ALERTS.map(({ name }) => name))
      // No rule fails, such as for labels that do not match.
      await eventually(async () => {
        const rules = (await ask('rules')).groups[0].rules
        return rules.every(({ health }: { health: string }) => health !== 'unknown')
      })
      expect((await ask('rules')).groups[0].rules.map(({ health }: { health: string }) => health)).toEqual(
        ALERTS.map(() => 'ok'),
      )
      // A rule may have run before the first scrape.
      const backups = await eventually(async () => {
        const { alerts } = await ask('alerts')
        const old = alerts.filter(
          ({ labels }: { labels: Record<string, string> }) => labels.alertname === 'Ch202BackupOld',
        )
        return old.length > 0 && old
      })
      expect(backups).toMatchObject([{ state: 'pending', annotations: { command: 'ch202 backup list' } }])

      // The services have polled each other by now.
      const scrapes = await Promise.all(Object.values(system.url).map((url) => scrape(url)))
      const served = new Set(scrapes.flatMap((one) => [...one.names()]))
      const inFiles = [...namesIn(read('ch202.rules.yml')), ...namesIn(read('ch202.dashboard.json'))]
      expect(inFiles.length).toBeGreaterThan(20)
      expect(inFiles.filter((name) => !served.has(name))).toEqual([])
      // There was no error.
      const panels = JSON.parse(read('ch202.dashboard.json')).panels.filter(
        ({ title }: { title: string }) => !/5xx/.test(title),
      )
      for (const { targets } of panels)
        for (const { expr } of targets)
          await eventually(async () => (await query(expr.replaceAll('$__rate_interval', '1m'))).length > 0).catch(
            () => {
              throw new Error(`The dashboard shows nothing for ${expr}`)
            },
          )
    } finally {
      prometheus.signal('SIGTERM')
      await prometheus.ended
    }
  })

  test('with another key it is refused, and no service is up', async () => {
    const { system } = here
    const { config, directory, keyFile } = await written(addressSettings((name) => system.url[name]))
    writeFileSync(keyFile, 'another key')
    writeFileSync(config, readFileSync(config, 'utf8').replaceAll('15s', '200ms'))
    const address = `127.0.0.1:${freePort()}`
    const words = [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(directory, 'data')}`,
      `--web.listen-address=${address}`,
    ]
    const prometheus = launch([need('prometheus', 'prometheus'), ...words, '--log.level=error'])
    try {
      const errors = await eventually(async () => {
        // Not before it has read its configuration.
        const answer = await fetch(`http://${address}/api/v1/targets`)
          .then((response) => response.json())
          .catch(() => undefined)
        const targets = answer?.data?.activeTargets ?? []
        const all = targets.map(({ lastError }: { lastError: string }) => lastError)
        return all.length === SERVICE_NAMES.length && all.every(Boolean) ? all : undefined
      })
      for (const error of errors) expect(error).toContain('401')
    } finally {
      prometheus.signal('SIGTERM')
      await prometheus.ended
    }
  })
})
