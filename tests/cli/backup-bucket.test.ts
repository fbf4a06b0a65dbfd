import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Encrypter } from 'age-encryption'
import { pack } from 'tar-stream'
import { createUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { failure, S3_KEY, S3Server } from '../support/servers/s3-server.ts'
import { openInstance } from '../support/shell.ts'
import { sliced } from '../support/whole.ts'
import { need } from './package/programs.ts'

const PASSPHRASE = 'the passphrase of the tests, long'
const CANARY = 'canary-in-the-bucket@example.org'

const store = new S3Server()
let instance: Awaited<ReturnType<typeof openInstance>>
let backups: string
beforeAll(async () => {
  instance = await openInstance('backup-bucket')
  backups = join(instance.system.dataDir, 'backups')
  await createUser(instance.system, { email: CANARY })
})
afterAll(async () => {
  await instance.close()
  await store.stop()
})
beforeEach(() => {
  store.objects.clear()
  store.intercept = undefined
})

const settings = (more: Record<string, string> = {}) => ({
  BACKUP_S3_URL: store.url('/ch202'),
  BACKUP_PASSPHRASE: PASSPHRASE,
  ...more,
})
const run = (line: string, more?: Record<string, string>) => instance.shell.run(line, { env: settings(more) })
const records = async (line: string, more?: Record<string, string>) => {
  const { status, stdout, stderr } = await run(`${line} -o json`, more)
  expect([status, stderr]).toEqual([0, ''])
  return JSON.parse(stdout)
}
let pushedBackup: Promise<{ name: string; path: string; object: Uint8Array }> | undefined
/** Makes a backup and pushes it, once for all tests: encrypting it is slow on purpose. @returns the backup, in the bucket */
const pushed = async () => {
  pushedBackup ??= records('ch202 backup create').then(async (backup) => {
    await records('ch202 backup push')
    return { ...backup, object: objectOf(backup.name) }
  })
  const { name, object, path } = await pushedBackup
  store.objects.set(`ch202/${name}.tar.age`, object)
  return { name, path }
}
/** Encrypts an archive so that a passphrase costs little to try, unlike one of `backup push`. */
const encrypted = async (tar: ReturnType<typeof pack>) => {
  tar.finalize()
  const encrypter = new Encrypter()
  encrypter.setPassphrase(PASSPHRASE)
  encrypter.setScryptWorkFactor(10)
  const bytes = await Array.fromAsync(tar as AsyncIterable<Buffer>)
  return encrypter.encrypt(Buffer.concat(bytes))
}
let backupInBucket: Promise<{ name: string; object: Uint8Array }> | undefined
/** Stores a backup, which is made and encrypted once for all tests. @returns its name */
const stored = async () => {
  backupInBucket ??= records('ch202 backup create').then(async ({ name, path }) => {
    const tar = pack()
    for (const file of readdirSync(path)) tar.entry({ name: file }, readFileSync(join(path, file)))
    return { name, object: await encrypted(tar) }
  })
  const { name, object } = await backupInBucket
  store.objects.set(`ch202/${name}.tar.age`, object)
  return name
}
const objectOf = (name: string) => store.objects.get(`ch202/${name}.tar.age`) as Uint8Array
const drillOf = () => JSON.parse(readFileSync(join(backups, 'last-drill.json'), 'utf8'))
/** The names in a directory, without the record of the last drill. */
const leftIn = (directory: string) =>
  existsSync(directory) ? readdirSync(directory).filter((name) => name !== 'last-drill.json') : []

describe('backup push, list --remote and pull', () => {
  test('store a backup encrypted, and bring it back as it was', async () => {
    const { name, path } = await pushed()
    expect([...store.objects.keys()]).toEqual([`ch202/${name}.tar.age`])
    const object = Buffer.from(objectOf(name))
    expect(object.toString('latin1', 0, 21)).toBe('age-encryption.org/v1')
    for (const secret of [CANARY, 'SQLite format 3', 'manifest.json']) expect(object.includes(secret)).toBe(false)
    // The same file without encryption does have it.
    expect(readFileSync(join(path, 'users.sqlite')).includes(CANARY)).toBe(true)

    const listed = await records('ch202 backup list --remote')
    expect(listed.items).toMatchObject([{ name, bytes: object.length }])
    const directory = instance.shell.fresh()
    expect(await records(`ch202 backup pull latest --in ${directory}`)).toMatchObject({ name, changed: true })
    const pulled = join(directory, name)
    expect(readdirSync(directory)).toEqual([name])
    expect([statSync(directory).mode & 0o777, statSync(pulled).mode & 0o777]).toEqual([0o700, 0o700])
    for (const file of readdirSync(path)) {
      expect([file, readFileSync(join(pulled, file)).equals(readFileSync(join(path, file)))]).toEqual([file, true])
      expect(statSync(join(pulled, file)).mode & 0o777).toBe(0o600)
    }
    expect(await records(`ch202 restore ${pulled} --to ${instance.shell.fresh()}`)).toMatchObject({ ok: true })
  })

  test('do nothing a second time', async () => {
    const { name } = await pushed()
    store.intercept = (request) =>
      request.method === 'PUT' || request.method === 'POST' ? new Response(null, { status: 500 }) : undefined
    expect(await records('ch202 backup push')).toMatchObject({ name, changed: false })
    expect(await records(`ch202 backup pull ${name}`)).toMatchObject({ name, changed: false })
  })

  test('need no Ch202 to be opened: age and tar do it', async () => {
    const { name, path } = await pushed()
    const directory = instance.shell.fresh()
    mkdirSync(directory)
    writeFileSync(join(directory, 'x.tar.age'), objectOf(name))
    const age = need('age', 'age')
    // age reads a passphrase from the terminal alone.
    const screen = await instance.shell.inTerminal(
      `cd ${directory} && ${age} --decrypt -o x.tar x.tar.age && tar xf x.tar && echo opened`,
      {
        typed: [[/passphrase/i, `${PASSPHRASE}\n`]],
      },
    ).ended
    expect([screen.status, screen.screen]).toEqual([0, expect.stringContaining('opened')])
    for (const file of ['manifest.json', 'users.sqlite'])
      expect(readFileSync(join(directory, file)).equals(readFileSync(join(path, file)))).toBe(true)
  })

  test('of a push that was killed: there is no object, and the next one stores it', async () => {
    const { name } = await records('ch202 backup create')
    const arrived = Promise.withResolvers<void>()
    store.intercept = (request) => {
      if (request.method === 'GET') return undefined
      arrived.resolve()
      return new Promise<Response>(() => undefined)
    }
    const running = instance.shell.start('exec ch202 backup push', { env: settings(), group: true })
    await arrived.promise
    running.signal('SIGKILL')
    await running.ended
    store.intercept = undefined
    expect([...store.objects.keys()]).toEqual([])
    expect(await records('ch202 backup push')).toMatchObject({ name, changed: true })
  })

  test('keep what --keep and --keep-weekly name, in the bucket too', async () => {
    const { name } = await records('ch202 backup create')
    const day = (age: number) => new Date(Date.now() - age * 86_400_000).toISOString().replaceAll(/[:.]/g, '-')
    const old = [1, 40, 41, 200].map(day)
    for (const stored of old) store.objects.set(`ch202/${stored}.tar.age`, new Uint8Array(1))
    store.objects.set('ch202/notes.txt', new Uint8Array(1))
    const { removed } = await records('ch202 backup push --keep 30d --keep-weekly 0')
    expect(removed.sort()).toEqual(old.slice(1).sort())
    expect([...store.objects.keys()].sort()).toEqual(
      ['ch202/notes.txt', ...[old[0], name].map((time) => `ch202/${time}.tar.age`)].sort(),
    )
  })
})

test('a backup that is older than --keep stays in the bucket if it was just stored', async () => {
  const directory = instance.shell.fresh()
  const { path } = await records(`ch202 backup create --out ${directory}`)
  const old = '2026-01-01T00-00-00-000Z'
  renameSync(path, join(directory, old))
  store.objects.set('ch202/2026-11-29T00-00-00-000Z.tar.age', new Uint8Array(1))
  const result = await records(`ch202 backup push ${old} --in ${directory} --keep 30d`)
  expect(result).toMatchObject({ name: old, removed: [], changed: true })
  expect(store.objects.has(`ch202/${old}.tar.age`)).toBe(true)
})

test('a store that refuses to delete, as with object lock: the failure names the copy that is stored', async () => {
  const { name } = await pushed()
  store.objects.set('ch202/2026-01-01T00-00-00-000Z.tar.age', new Uint8Array(1))
  store.intercept = ({ method }) => (method === 'DELETE' ? failure(403, 'AccessDenied') : undefined)
  const { status, stdout, stderr } = await run(`ch202 backup push ${name} --keep 30d --quiet`)
  expect([status, stdout]).toEqual([4, ''])
  expect(stderr).toContain(`${name} is in the bucket, but the old 2026-01-01T00-00-00-000Z could not be removed: `)
  expect(stderr).toContain('AccessDenied')
  expect(stderr).toContain(`→ ch202 backup push ${name}\n`)
})

describe('an object that was stored while the clock was ahead', () => {
  const AHEAD = '2999-01-01T00-00-00-000Z'

  test('is not the latest of the bucket: neither to verify nor to fetch', async () => {
    const name = await stored()
    store.objects.set(`ch202/${AHEAD}.tar.age`, new Uint8Array(1))
    const notice = `! ${AHEAD} is dated in the future, so it is not the latest: the clock was ahead, or is behind\n`
    for (const line of ['verify --remote', `pull --in ${instance.shell.fresh()}`]) {
      const { status, stdout, stderr } = await run(`ch202 backup ${line} -o json`)
      expect([line, status, stderr]).toEqual([line, 0, notice])
      expect(stdout).toContain(name)
    }
    expect(drillOf()).toMatchObject({ backup: name, passed: true })
  })

  test('does not cost the next one: push --keep removes neither', async () => {
    const directory = instance.shell.fresh()
    const { name } = await records(`ch202 backup create --out ${directory}`)
    store.objects.set(`ch202/${AHEAD}.tar.age`, new Uint8Array(1))
    expect(await records(`ch202 backup push --in ${directory} --keep 0s`)).toMatchObject({ name, removed: [] })
    expect([...store.objects.keys()].sort()).toEqual([name, AHEAD].map((time) => `ch202/${time}.tar.age`))
  })
})

describe('backup create --keep', () => {
  test('removes older ones once the new one is complete, but no other directory, and not the newest verified one', async () => {
    const directory = instance.shell.fresh()
    const first = await records(`ch202 backup create --out ${directory}`)
    await records(`ch202 backup verify --in ${directory}`)
    const second = await records(`ch202 backup create --out ${directory}`)
    mkdirSync(join(directory, 'mine'))
    const third = await records(`ch202 backup create --out ${directory} --keep 0s`)
    expect(third.removed).toEqual([second.name])
    expect(readdirSync(directory).sort()).toEqual([first.name, third.name, 'mine'].sort())
  })

  test('needs --keep with --keep-weekly', async () => {
    const { status, stdout, stderr } = await run('ch202 backup create --keep-weekly 4')
    expect([status, stdout, stderr]).toEqual([2, '', expect.stringContaining('--keep 7d --keep-weekly 4')])
  })

  test('prints nothing with --quiet', async () => {
    const { status, stdout, stderr } = await run(
      `ch202 backup create --out ${instance.shell.fresh()} --keep 7d --quiet`,
    )
    expect([status, stdout, stderr]).toEqual([0, '', ''])
  })
})

describe('backup verify --remote', () => {
  test('restores the newest of the bucket for trial, leaves nothing, and doctor reports it', async () => {
    const { name } = await pushed()
    const before = leftIn(backups)
    const result = await records('ch202 backup verify --remote')
    expect(result).toMatchObject({ ok: true, path: name, verified_at: expect.any(String) })
    expect(leftIn(backups)).toEqual(before)
    expect(drillOf()).toMatchObject({ backup: name, passed: true })
    const { items } = JSON.parse((await run('ch202 doctor -o json')).stdout)
    expect(items.find(({ id }: { id: string }) => id === 'backup.drill')).toMatchObject({
      status: 'ok',
      message: `The backup ${name} of the bucket was verified`,
    })
  })

  const damage: [about: string, change: (object: Uint8Array) => Uint8Array, says: RegExp][] = [
    ['cut at the end', (object) => object.slice(0, -100), /cut or changed/],
    ['cut in the middle', (object) => object.slice(0, object.length >> 1), /cut or changed/],
    [
      'changed in the middle',
      (object) => object.map((byte, at) => (at === object.length >> 1 ? byte ^ 1 : byte)),
      /cut or changed/,
    ],
    ['no archive', () => new TextEncoder().encode('hello'), /does not open/],
    ['empty', () => new Uint8Array(0), /does not open/],
  ]
  test.each(sliced(damage, 2))('reports an object that is %s, and leaves nothing', async (_, change, says) => {
    const name = await stored()
    store.objects.set(`ch202/${name}.tar.age`, change(objectOf(name)))
    const before = leftIn(backups)
    const { status, stderr } = await run('ch202 backup verify --remote')
    expect([status, stderr]).toEqual([10, expect.stringMatching(says)])
    expect(leftIn(backups)).toEqual(before)
    expect(drillOf()).toMatchObject({ passed: false })
    const directory = instance.shell.fresh()
    expect((await run(`ch202 backup pull --in ${directory}`)).status).toBe(10)
    expect(leftIn(directory)).toEqual([])
  })

  test('reports another passphrase', async () => {
    await stored()
    const { status, stderr } = await run('ch202 backup verify --remote', {
      BACKUP_PASSPHRASE: 'another passphrase, also long',
    })
    expect([status, stderr]).toEqual([10, expect.stringContaining('BACKUP_PASSPHRASE does not open this backup')])
  })
})

describe('an archive of an attacker who knows the passphrase', () => {
  const archives: [about: string, files: { name: string; type?: 'symlink'; linkname?: string }[]][] = [
    ['a path that leads out', [{ name: '../escaped' }]],
    ['an absolute path', [{ name: '/tmp/escaped' }]],
    ['a link', [{ name: 'auth.sqlite', type: 'symlink', linkname: '/etc/passwd' }]],
    ['a file twice', [{ name: 'auth.sqlite' }, { name: 'auth.sqlite' }]],
    ['another file', [{ name: 'run.sh' }]],
    ['nothing', []],
  ]
  test.each(sliced(archives, 2))('writes nothing for %s', async (_, files) => {
    const tar = pack()
    for (const file of files) file.type ? tar.entry(file) : tar.entry(file, 'escaped')
    const name = '2026-11-01T00-00-00-000Z'
    store.objects.set(`ch202/${name}.tar.age`, await encrypted(tar))
    const parent = instance.shell.fresh()
    const directory = join(parent, 'in')
    const { status } = await run(`ch202 backup pull --in ${directory}`)
    expect([status, leftIn(directory), leftIn(parent)]).toEqual([files.length === 0 ? 3 : 10, [], ['in']])
    expect(existsSync('/tmp/escaped')).toBe(false)
  })
})

describe('what is missing or wrong', () => {
  const rows: [line: string, settings: Record<string, string>, status: number, says: RegExp][] = [
    ['ch202 backup push', { BACKUP_S3_URL: '' }, 2, /BACKUP_S3_URL names no bucket[\s\S]*→ BACKUP_S3_URL=https/],
    ['ch202 backup push', { BACKUP_PASSPHRASE: '' }, 2, /encrypted only[\s\S]*→ openssl rand -hex 32/],
    ['ch202 backup push', { BACKUP_PASSPHRASE: 'short' }, 2, /at least 20 characters/],
    ['ch202 backup push', { BACKUP_S3_URL: 'ftp://key:canary-secret@host/x' }, 2, /must be an address such as/],
    ['ch202 backup push', { BACKUP_S3_URL: 'http://key:canary-secret@127.0.0.1:9/backups' }, 7, /it cannot be reached/],
    ['ch202 backup push nothing', {}, 3, /There is no backup nothing/],
    ['ch202 backup pull', {}, 3, /The bucket of BACKUP_S3_URL has no backup[\s\S]*→ ch202 backup push/],
    ['ch202 backup verify other --remote', {}, 3, /has no backup other[\s\S]*→ ch202 backup list --remote/],
    ['ch202 backup push', { DATABASE_URL: 'postgres://127.0.0.1:9/x' }, 2, /pg_dump/],
    ['ch202 backup pull', { DATABASE_URL: 'postgres://127.0.0.1:9/x' }, 2, /pg_restore/],
  ]
  test.each(sliced(rows, 2))('%s with %j', async (line, more, status, says) => {
    if (!existsSync(backups)) await records('ch202 backup create')
    const ended = await run(line, more)
    expect([ended.status, ended.stdout, ended.stderr]).toEqual([status, '', expect.stringMatching(says)])
    expect(ended.stderr).not.toContain('canary-secret')
  })

  test('no command shows the secrets, not with --debug either', async () => {
    await records('ch202 backup create')
    for (const line of ['backup push', 'backup list --remote', 'backup verify --remote', 'config show', 'doctor']) {
      const { stdout, stderr } = await run(`ch202 ${line} --debug`)
      for (const secret of [PASSPHRASE, S3_KEY.secret, encodeURIComponent(S3_KEY.secret)])
        expect([line, (stdout + stderr).includes(secret)]).toEqual([line, false])
    }
    const ended = await eventually(async () => (await run('ch202 config show')).stdout)
    expect(ended).toMatch(/BACKUP_S3_URL\s+http:\/\/\*\*\*@/)
    expect(ended).toMatch(/BACKUP_PASSPHRASE\s+set/)
  })
})
