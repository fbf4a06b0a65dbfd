import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { cpSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import released from '../fixtures/v0.1.0/data.json'
import { as, call } from '../support/http.ts'
import { openShell, type Shell } from '../support/shell.ts'
import { launch, ownSettings, ROOT, type Running, temporary } from '../support/tool.ts'
import { sliced } from '../support/whole.ts'

setDefaultTimeout(120_000)

/** The keys with which the data directory of 0.1.0 was made (`tests/fixtures/v0.1.0/make.sh`). */
const KEYS = {
  INTERNAL_API_KEY: 'internal-key-of-the-tests-0123456789',
  OPERATOR_API_KEY: 'operator-key-of-the-tests-0123456789',
  CH202_SECRET: 'secret-of-the-tests-0123456789012345',
}
const DURATIONS = { REFRESH_EXPIRE: '3650d', REFRESH_EXPIRE_V0: '3650d', SESSION_MAX_AGE: '3650d' }
const operator = { 'x-api-key': KEYS.OPERATOR_API_KEY }

const folder = temporary('upgrade')
let original: string
beforeAll(async () => {
  const archive = join(ROOT, 'tests/fixtures/v0.1.0/data.tar.gz')
  expect((await launch(['tar', '-xzf', archive, '-C', folder.path]).ended).status).toBe(0)
  original = join(folder.path, 'data')
})
const shells: Shell[] = []
afterAll(() => {
  for (const shell of shells) shell.close()
  folder.remove()
})

/** A copy of the data directory of 0.1.0, and a shell of its operator. */
function copy() {
  const dataDir = folder.fresh()
  cpSync(original, dataDir, { recursive: true })
  const {
    AUTH_URL: _,
    USERS_URL: __,
    MODULES_URL: ___,
    WEB_URL: ____,
    ...env
  } = ownSettings(dataDir, {
    ...KEYS,
    ...DURATIONS,
    RATE_LIMIT: 'off',
    BCRYPT_COST: '4',
  })
  const shell = openShell('upgrade-shell', env)
  shells.push(shell)
  return { dataDir, env, shell, base: env.CH202_URL as string }
}

async function whileServing<T>(shell: Shell, work: (serving: Running) => Promise<T>): Promise<T> {
  const serving = shell.start('exec ch202 serve')
  try {
    await serving.printed(/ready at/)
    return await work(serving)
  } finally {
    serving.signal('SIGTERM')
    await serving.ended
  }
}

describe('from 0.1.0 to this version', () => {
  test('nothing is lost, sessions go on, and what had ended stays so', async () => {
    const { base, shell } = copy()
    const { ids, tokens } = released
    const plan = await shell.run('ch202 migrate --plan')
    expect([plan.status, plan.stdout]).toEqual([0, expect.stringContaining('0009_challenges')])
    await whileServing(shell, async () => {
      const body = { email: 'ana@example.org', password: 'a horse that reads' }
      const login = await call(base, 'POST /api/v1/auth/login', { body })
      expect(login.status).toBe(200)
      const refreshed = await call(base, 'POST /api/v1/auth/refresh', { body: { refresh_token: tokens.refresh } })
      expect(refreshed.status).toBe(200)
      const old = await call(base, 'POST /auth/refresh', { body: { refreshToken: tokens.v0 } })
      expect([old.status, old.text]).toEqual([200, expect.stringContaining('accessToken')])
      const ended = await call(base, 'POST /api/v1/auth/refresh', { body: { refresh_token: tokens.ended } })
      expect([ended.status, ended.body.code]).toEqual([401, 'invalid_refresh_token'])

      const headers = as.bearer(refreshed.body.access_token)
      expect((await call(base, 'GET /api/v1/auth/me', { headers })).body).toMatchObject({
        id: ids.ana,
        username: 'ana',
      })
      const modules = await call(base, `GET /api/v1/modules/users/${ids.ana}`, { headers: operator })
      expect(modules.body.modules).toEqual(['billing'])
      const ben = await call(base, `GET /api/v1/users/${ids.ben}`, { headers: operator })
      expect(ben.body).toMatchObject({ name: 'Бен', roles: ['USER', 'SALES'], status: 'disabled' })
      expect((await call(base, `GET /api/v1/users/${ids.old}`, { headers: operator })).status).toBe(404)
      const matches = await call(base, 'GET /api/v1/users?search=user-37', { headers: operator })
      expect(matches.body.items.map(({ email }: { email: string }) => email)).toEqual(['user-37@example.org'])
      expect((await call(base, 'GET /api/v1/users', { headers: operator })).body.total).toBe(62)
      expect((await call(base, 'GET /api/v1/admin/webhooks', { headers: operator })).body.items).toHaveLength(1)
    })
    // The chain of the audit goes from the rows of 0.1.0 to those of this version.
    const doctor = JSON.parse((await shell.run('ch202 doctor -o json')).stdout)
    const failed = doctor.items.filter(({ status }: { status: string }) => status === 'failed')
    expect(failed).toEqual([])
    expect(doctor.items.find(({ id }: { id: string }) => id === 'audit.chain')).toMatchObject({ status: 'ok' })
  })

  test('goes on: new users, new features, another start, a backup that verifies', async () => {
    const { base, shell } = copy()
    await whileServing(shell, async () => {
      const user = { email: 'new@example.org', password: 'a horse that arrives', email_verified: true }
      expect((await call(base, 'POST /api/v1/users', { headers: operator, body: user })).status).toBe(201)
      const client = { name: 'reports', scopes: ['users:read'] }
      expect((await call(base, 'POST /api/v1/admin/clients', { headers: operator, body: client })).status).toBe(201)
    })
    await whileServing(shell, async () => {
      const body = { email: 'new@example.org', password: 'a horse that arrives' }
      expect((await call(base, 'POST /api/v1/auth/login', { body })).status).toBe(200)
    })
    const backup = await shell.run('ch202 backup create && ch202 backup verify')
    expect([backup.status, backup.stderr]).toEqual([0, expect.stringContaining('CH202_SECRET')])
  })

  test('killed in the middle of it: the next start goes on', async () => {
    const { base, shell } = copy()
    for (const after of sliced([60, 120, 180, 240, 300], 2)) {
      const serving = shell.start('exec ch202 serve', { group: true })
      await Bun.sleep(after)
      serving.signal('SIGKILL')
      await serving.ended
    }
    await whileServing(shell, async () => {
      expect((await call(base, 'GET /api/v1/users', { headers: operator })).body.total).toBe(62)
      const body = { refresh_token: released.tokens.refresh }
      expect((await call(base, 'POST /api/v1/auth/refresh', { body })).status).toBe(200)
    })
  })

  test('a backup of 0.1.0 is restored by this version', async () => {
    const { base, shell } = copy()
    // Its databases have the migrations of 0.1.0 alone.
    const created = await shell.run('ch202 backup create -o ids')
    expect(created.status).toBe(0)
    expect((await shell.run(`ch202 restore ${created.stdout.trim()} --yes`)).status).toBe(0)
    await whileServing(shell, async () => {
      const body = { email: 'ana@example.org', password: 'a horse that reads' }
      expect((await call(base, 'POST /api/v1/auth/login', { body })).status).toBe(200)
    })
  })
})

describe('going back', () => {
  /** Does to a data directory what a later version does: a migration that this one does not know. */
  const later = (dataDir: string, name: string) => {
    const raw = new Database(join(dataDir, `${name}.sqlite`))
    raw.run("INSERT INTO schema_migrations VALUES ('9999_of_a_later_version', '', 0)")
    raw.close()
  }

  const filesOf = (dataDir: string) =>
    readdirSync(dataDir)
      .filter((file) => !/^(run|logs|backups)$|-(wal|shm)$/.test(file))
      .sort()

  test.each(['auth', 'users', 'modules'])(
    'is refused for the data of a later version in %s, with the way',
    async (name) => {
      const { dataDir, shell } = copy()
      expect((await shell.run('ch202 migrate')).status).toBe(0)
      later(dataDir, name)
      const before = filesOf(dataDir)
      for (const line of ['ch202 serve', 'ch202 migrate', 'ch202 backup create']) {
        const { status, stderr, stdout } = await shell.run(line)
        expect([line, status === 0]).toEqual([line, false])
        const output = (stderr + stdout).replaceAll('\\n', '\n')
        expect(output).toContain('is newer than this program: it has the migration 9999_of_a_later_version')
        expect(output).toContain('restore the backup that was made before the upgrade')
      }
      expect(filesOf(dataDir)).toEqual(before)
    },
  )

  test('works by the backup that was made before: `ch202 restore`', async () => {
    const { base, dataDir, shell } = copy()
    expect((await shell.run('ch202 migrate')).status).toBe(0)
    const created = await shell.run('ch202 backup create -o ids')
    for (const name of ['auth', 'users', 'modules']) later(dataDir, name)
    mkdirSync(join(dataDir, 'logs'), { recursive: true })
    const restored = await shell.run(`ch202 restore ${created.stdout.trim()} --yes`)
    expect([restored.status, restored.stderr]).toEqual([0, expect.stringContaining('All sessions have ended')])
    await whileServing(shell, async () => {
      const body = { email: 'ana@example.org', password: 'a horse that reads' }
      expect((await call(base, 'POST /api/v1/auth/login', { body })).status).toBe(200)
    })
  })
})
