import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { copyFileSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseProcfile } from '../../../cli/runner/runner.ts'
import { S3Server } from '../../support/servers/s3-server.ts'
import { openInstance } from '../../support/shell.ts'
import { ROOT, runTool, temporary } from '../../support/tool.ts'
import { need, run } from './programs.ts'

const folder = temporary('package-systemd')
afterAll(() => folder.remove())

const TIMERS = ['ch202-backup.timer', 'ch202-backup-drill.timer']
const BACKUP_UNITS = [
  'ch202-backup.service',
  'ch202-backup.timer',
  'ch202-backup-drill.service',
  'ch202-backup-drill.timer',
]
const FAILURE_UNIT = 'ch202-failure@.service'

function lines(text: string): string[] {
  return text.split('\n').filter(Boolean)
}

describe('the systemd units', () => {
  const names = parseProcfile(readFileSync(join(ROOT, 'Procfile'), 'utf8')).map(({ name }) => `ch202-${name}.service`)
  /** The executable of the units, which systemd requires to exist. */
  const exec = join(folder.path, 'tool')
  beforeAll(() => copyFileSync(need('true', 'coreutils'), exec))

  const written = async (...options: string[]) => {
    const directory = folder.fresh()
    const ended = await runTool(['package', 'systemd', '--out', directory, '--exec', exec, ...options])
    expect([ended.status, ended.stdout]).toEqual([0, ''])
    return directory
  }
  const verified = async (directory: string) => {
    const units = readdirSync(directory).map((name) => join(directory, name))
    const ended = await run([need('systemd-analyze', 'systemd'), 'verify', '--man=no', ...units])
    return [ended.status, ended.stdout, ended.stderr]
  }

  test('are one for each line of the Procfile, those of backups, and a target, all valid for systemd', async () => {
    const directory = await written()
    expect(readdirSync(directory).sort()).toEqual([...names, ...BACKUP_UNITS, FAILURE_UNIT, 'ch202.target'].sort())
    expect(await verified(directory)).toEqual([0, '', ''])
    const target = readFileSync(join(directory, 'ch202.target'), 'utf8')
    expect(target).toContain(`\nWants=${[...names, ...TIMERS].join(' ')}\n`)
    for (const name of names) {
      const unit = lines(readFileSync(join(directory, name), 'utf8'))
      expect(unit).toContain(`ExecStart=${exec} serve ${name.slice(6, -8)}`)
      for (const line of [
        'User=ch202',
        'EnvironmentFile=/etc/ch202/ch202.env',
        'Environment=CH202_ENV=production',
        'Environment=CH202_DATA_DIR=/var/lib/ch202',
        'StateDirectory=ch202',
        'StateDirectoryMode=0700',
        'UMask=0077',
        'Restart=on-failure',
        'OnFailure=ch202-failure@%n.service',
        'PartOf=ch202.target',
        'WantedBy=ch202.target',
      ])
        expect(unit).toContain(line)
      // The engine compiles while it runs: with this it would not start.
      expect(unit.filter((line) => line.startsWith('MemoryDenyWriteExecute'))).toEqual([])
      // Threads that hash lower their own priority, which @resources would refuse; the last line decides.
      expect(unit.filter((line) => line.startsWith('SystemCallFilter=')).at(-1)).toBe('SystemCallFilter=setpriority')
      // A stop may take 10 s.
      expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit.join('\n'))?.[1])).toBeGreaterThan(12)
    }
  })

  test.each([0, 2])(
    'give up after about five minutes of crashes, when each run takes %d s, and then report it',
    async (run) => {
      const unit = readFileSync(join(await written(), names[0] as string), 'utf8')
      const value = (name: string) => Number(new RegExp(`^${name}=(\\d+)$`, 'm').exec(unit)?.[1])
      const [interval, burst] = [value('StartLimitIntervalSec'), value('StartLimitBurst')]
      const cycle = value('RestartSec') + run
      // As systemd counts: the start after `burst` of them is refused if it is within the interval that the first began.
      const refusedAfter = burst * cycle
      expect(refusedAfter).toBeLessThan(interval)
      expect(refusedAfter).toBeWithin(4 * 60, 6 * 60)
      expect(unit).toContain('OnFailure=ch202-failure@%n.service')
    },
  )

  test('have an exposure of at most 1.5 of 10', async () => {
    const directory = await written()
    for (const name of [...names, ...BACKUP_UNITS.filter((unit) => unit.endsWith('.service'))]) {
      const analyze = [need('systemd-analyze', 'systemd'), 'security', '--offline=yes', '--no-pager', '--threshold=15']
      const { status, stdout, stderr } = await run([...analyze, join(directory, name)])
      expect([status, stderr, /exposure level for .*: ([\d.]+)/.exec(stdout)?.[1]]).toEqual([
        0,
        '',
        expect.stringMatching(/^(0|1)\.[0-5]?/),
      ])
    }
  })

  test('use another account and directory, also outside /var/lib', async () => {
    const directory = await written('--user', 'idp', '--data-dir', '/srv/idp/data')
    expect(await verified(directory)).toEqual([0, '', ''])
    const unit = lines(readFileSync(join(directory, names[0] as string), 'utf8'))
    for (const line of ['User=idp', 'ReadWritePaths=/srv/idp/data', 'Environment=CH202_DATA_DIR=/srv/idp/data'])
      expect(unit).toContain(line)
    expect(unit.join('\n')).not.toContain('StateDirectory')
  })

  test('are printed with their names without --out; a second run with --out changes nothing', async () => {
    const { stdout } = await runTool(['package', 'systemd'])
    expect(lines(stdout).filter((line) => /^# \S+\.(service|target|timer)$/.test(line))).toEqual(
      [...names, ...BACKUP_UNITS, FAILURE_UNIT, 'ch202.target'].map((name) => `# ${name}`),
    )
    const directory = await written()
    const again = await runTool(['package', 'systemd', '--out', directory, '--exec', exec, '-o', 'json'])
    expect(JSON.parse(again.stdout)).toMatchObject({ ok: true, changed: false })
  })

  test('without backups, or with a database, have no timers', async () => {
    const without = await written('--no-backups')
    expect(readdirSync(without).filter((name) => name.includes('backup'))).toEqual([])
    expect(await verified(without)).toEqual([0, '', ''])
    const ended = await runTool(['package', 'systemd'], {
      env: { DATABASE_URL: 'postgres://ch202@127.0.0.1:5432/ch202' },
    })
    expect([ended.status, ended.stdout.includes('backup')]).toEqual([0, false])
  })

  test.each([
    ['*-*-* 03:15:00', 'ch202-backup.timer'],
    ['Sun 04:30:00', 'ch202-backup-drill.timer'],
  ])('run at %p (%s), also after a night in which the machine was off', async (when, name) => {
    const timer = lines(readFileSync(join(await written(), name), 'utf8'))
    for (const line of [`OnCalendar=${when}`, 'Persistent=true', 'WantedBy=timers.target'])
      expect(timer).toContain(line)
  })

  test('the commands of the backups do what they say: with a bucket, and without one', async () => {
    const { shell, close } = await openInstance('package-systemd-backup')
    const store = new S3Server()
    try {
      const directory = await written()
      /** Runs the commands of a unit as systemd does: a `$$` is a `$`, and the next one runs if the one before has succeeded. */
      const runUnit = (name: string, env: Record<string, string> = {}) => {
        const unit = readFileSync(join(directory, name), 'utf8')
        const commands = [...unit.matchAll(/^ExecStart=(.*)$/gm)].map(([, command = '']) =>
          command.replaceAll('$$', '$').replaceAll(exec, 'ch202'),
        )
        return shell.run(commands.join(' && '), { env })
      }
      expect(await runUnit('ch202-backup.service')).toMatchObject({ status: 0, stdout: '', stderr: '' })
      expect(await runUnit('ch202-backup-drill.service')).toMatchObject({ status: 0, stderr: '' })
      const bucket = { BACKUP_S3_URL: store.url('/a'), BACKUP_PASSPHRASE: 'the passphrase of the tests, long' }
      expect(await runUnit('ch202-backup.service', bucket)).toMatchObject({ status: 0, stdout: '', stderr: '' })
      expect(store.objects.size).toBe(1)
      const drill = await runUnit('ch202-backup-drill.service', bucket)
      expect([drill.status, drill.stdout]).toEqual([0, expect.stringContaining('A restore brings back')])
      store.objects.set([...store.objects.keys()][0] ?? '', new Uint8Array(9))
      expect((await runUnit('ch202-backup-drill.service', bucket)).status).toBe(10)
    } finally {
      await close()
      await store.stop()
    }
  })

  const refused: [option: string, value: string][] = [
    ['--user', 'root'],
    ['--user', 'a b'],
    ['--user', 'a\nExecStartPre=+/bin/sh'],
    ['--data-dir', 'data'],
    ['--data-dir', '/var/lib/ch202 /etc'],
    ['--data-dir', '/var/lib/../../etc'],
    ['--data-dir', '/var/lib/%h'],
    ['--exec', 'ch202'],
    ['--exec', '/usr/bin/env bash'],
    ['--exec', '/bin/x\nUser=root'],
  ]
  test.each(refused)('refuse %s %j', async (option, value) => {
    const { status, stdout, stderr } = await runTool(['package', 'systemd', option, value])
    expect([status, stdout]).toEqual([2, ''])
    expect(stderr).toContain(`✗ ${option} must be `)
  })

  const hidden: [option: string, path: string][] = [
    ['--data-dir', '/home/ch202/data'],
    ['--data-dir', '/root'],
    ['--data-dir', '/run/user/1000/ch202'],
    ['--data-dir', '//home//ch202'],
    ['--exec', '/home/ch202/bin/ch202'],
    ['--exec', '/run/user/1000/bin/ch202'],
  ]
  test.each(hidden)('refuse %s %s, which the units hide from the services', async (option, path) => {
    const { status, stdout, stderr } = await runTool(['package', 'systemd', option, path])
    expect([status, stdout]).toEqual([2, ''])
    expect(stderr).toContain(
      `✗ ${option} must be outside /home, /root and /run/user, which the units hide (ProtectHome=)`,
    )
  })

  test.each(['/homes/ch202', '/srv/home/ch202', '/run/users'])('take --data-dir %s', async (path) => {
    expect((await runTool(['package', 'systemd', '--data-dir', path])).status).toBe(0)
  })
})
