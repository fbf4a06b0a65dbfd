import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/servers/ports.ts'
import { openShell } from '../support/shell.ts'
import { launch, ownSettings, type Running, temporary } from '../support/tool.ts'
import { need } from './package/programs.ts'

setDefaultTimeout(300_000)

/**
 * Backups in a bucket of moto (https://docs.getmoto.org), an implementation of S3 that is not ours. It is installed from
 * PyPI into a temporary directory.
 */
const MOTO = 'moto[server,s3]==5.2.5'
const folder = temporary('backup-moto')
const port = freePort()
const store = `http://127.0.0.1:${port}`
const shell = openShell('backup-moto-shell', {
  ...ownSettings(folder.fresh()),
  BACKUP_S3_URL: `http://key:secret@127.0.0.1:${port}/backups/ch202`,
  BACKUP_PASSPHRASE: 'the passphrase of the tests, long',
})
let server: Running
beforeAll(async () => {
  const venv = folder.fresh()
  for (const command of [
    [need('python3', 'python3-venv'), '-m', 'venv', venv],
    [join(venv, 'bin/pip'), 'install', '--quiet', MOTO],
  ])
    expect(await launch(command, { env: pip() }).ended).toMatchObject({ status: 0 })
  server = launch([join(venv, 'bin/moto_server'), '--port', String(port)])
  await eventually(() =>
    fetch(store).then(
      () => true,
      () => undefined,
    ),
  )
  expect((await fetch(`${store}/backups`, { method: 'PUT' })).status).toBe(200)
})
afterAll(async () => {
  server?.signal('SIGTERM')
  await server?.ended
  shell.close()
  folder.remove()
})

/** The settings of pip in the environment of the tests, such as a mirror. */
function pip(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => /^(PIP_|SSL_|https?_proxy|no_proxy)/i.test(name)),
  ) as Record<string, string>
}

const run = async (line: string, env: Record<string, string> = {}) => {
  const { status, stdout, stderr } = await shell.run(`${line} -o json`, { env })
  return { status, stderr, body: stdout === '' ? null : JSON.parse(stdout) }
}

test('a backup of 150 MB goes to the bucket in parts, and comes back byte for byte', async () => {
  await shell.run('ch202 migrate')
  const users = new Database(join(shell.env.CH202_DATA_DIR as string, 'users.sqlite'))
  users.run('CREATE TABLE ballast (content BLOB)')
  for (let at = 0; at < 150; at++) users.run('INSERT INTO ballast VALUES (randomblob(1 << 20))')
  users.close()
  const { body: backup } = await run('ch202 backup create')
  expect(await run('ch202 backup push')).toMatchObject({ status: 0, body: { name: backup.name, changed: true } })
  expect(await run('ch202 backup push')).toMatchObject({ status: 0, body: { changed: false } })
  expect((await run('ch202 backup list --remote')).body.items).toMatchObject([{ name: backup.name }])
  const directory = folder.fresh()
  expect(await run(`ch202 backup pull --in ${directory}`)).toMatchObject({ status: 0 })
  for (const file of ['auth.sqlite', 'users.sqlite', 'modules.sqlite', 'manifest.json']) {
    const pulled = readFileSync(join(directory, backup.name, file))
    expect([file, pulled.equals(readFileSync(join(backup.path, file)))]).toEqual([file, true])
  }
})

test('a push that is killed at any moment leaves no object, and the next one stores it', async () => {
  for (const after of [200, 600, 1000, 1400, 1800]) {
    const { body: backup } = await run('ch202 backup create')
    const running = shell.start('exec ch202 backup push', { group: true })
    await Bun.sleep(after)
    running.signal('SIGKILL')
    await running.ended
    const names = (await run('ch202 backup list --remote')).body.items.map(({ name }: { name: string }) => name)
    const isStored = names.includes(backup.name)
    if (isStored)
      expect(await run(`ch202 backup pull ${backup.name} --in ${folder.fresh()}`)).toMatchObject({ status: 0 })
    expect(await run('ch202 backup push')).toMatchObject({ status: 0, body: { name: backup.name, changed: !isStored } })
  }
})

test('old ones are removed, and what is wrong is said', async () => {
  expect(await run('ch202 backup push --keep 0s')).toMatchObject({ status: 0, body: { changed: true } })
  expect((await run('ch202 backup list --remote')).body.items).toHaveLength(1)
  const other = { BACKUP_PASSPHRASE: 'another passphrase, also long' }
  expect((await run('ch202 backup pull --in ./none', other)).status).toBe(10)
  expect(existsSync(join(shell.path, 'none', 'x'))).toBe(false)
  const nowhere = { BACKUP_S3_URL: `http://key:secret@127.0.0.1:${port}/nothing` }
  expect((await run('ch202 backup push', nowhere)).body).toMatchObject({ error: { code: 'bucket_failed' } })
})
