import { Database } from 'bun:sqlite'
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { join } from 'node:path'
import { openAuthStore } from '../../db/auth/store.ts'
import { eventually } from '../support/eventually.ts'
import { as, awaitReadiness, call } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { inProcess } from '../support/system.ts'
import { ownSettings, runTool, temporary } from '../support/tool.ts'

setDefaultTimeout(120_000)

const folder = temporary('audit-retention')
afterAll(() => folder.remove())

const DAY = 86_400_000

describe('check 40: AUDIT_RETENTION', () => {
  test('removes old rows at a start, which the audit says, and leaves younger ones', async () => {
    const clock = movingClock()
    const system = await inProcess({ AUDIT_RETENTION: '30d' }, { clock })
    const audit = async (query = '') =>
      (await call(system.url.auth, `GET /admin/audit?size=200${query}`, { headers: as.operator })).body.items
    const add = async (type: string) => {
      const at = clock.now()
      const row = { id: Bun.randomUUIDv7(), at, type, user_id: null, actor: 'internal', ip: null, request_id: null }
      const body = { ...row, detail: {} }
      expect((await call(system.url.auth, 'POST /auth/audit', { headers: as.internal, body })).status).toBe(204)
    }
    try {
      // The start itself looks for old rows.
      await awaitReadiness(system)
      await add('test.old')
      clock.pass(25 * DAY)
      await add('test.young')
      clock.pass(10 * DAY)
      expect((await audit('&type=test.old')).length).toBe(1)
      await system.terminate('auth')
      await system.start('auth')
      const [row] = await eventually(async () => {
        const rows = await audit('&type=audit.trimmed')
        return rows.length > 0 && (await audit('&type=test.old')).length === 0 ? rows : undefined
      })
      expect(row).toMatchObject({ actor: 'auth', detail: { rows: expect.any(Number), hash: expect.any(String) } })
      expect((await audit('&type=test.young')).length).toBe(1)
    } finally {
      await system.stop()
    }
  })

  /** A data directory with rows of which the first `removed` were removed. */
  async function trimmed(removed: number): Promise<Record<string, string>> {
    const dataDir = folder.fresh()
    const store = await openAuthStore({ dataDir })
    const event = (at: number) => ({ id: Bun.randomUUIDv7(), at, type: 'test.row', userId: null, actor: 'internal' })
    const rest = { ip: null, requestId: null, detail: {} }
    for (let n = 0; n < 8; n++) await store.addAuditEvent({ ...event(Date.now() - (10 - n) * DAY), ...rest })
    const before = Date.now() - (10 - removed) * DAY - DAY / 2
    await store.trimAudit(before, Date.now(), ({ hash, rows, seq }) => ({
      ...event(Date.now()),
      ...rest,
      type: 'audit.trimmed',
      detail: { rows, seq, hash },
    }))
    await store.removeTrimmedAudit()
    await store.close()
    return ownSettings(dataDir)
  }
  const chain = async (env: Record<string, string>) => {
    const { stdout } = await runTool(['doctor', '--only', 'audit.chain'], { env })
    return stdout.trim().split('\n')[0] ?? ''
  }
  const change = (env: Record<string, string>, sql: string, trigger?: string) => {
    const raw = new Database(join(env.CH202_DATA_DIR ?? '', 'auth.sqlite'))
    if (trigger) raw.run(`DROP TRIGGER ${trigger}`)
    raw.run(sql)
    raw.close()
  }

  test('the doctor accepts a beginning that was removed so, and no other', async () => {
    const env = await trimmed(3)
    expect(await chain(env)).toMatch(/^ok {7}audit\.chain {2}6 rows, head [0-9a-f]{32}$/)
    change(env, 'DELETE FROM audit WHERE seq = 4', 'audit_kept')
    expect(await chain(env)).toMatch(/^failed .*The chain breaks at the row .*, the first row/)
  })

  test('a removed beginning without a row that says so is found', async () => {
    const env = await trimmed(0)
    change(env, 'DELETE FROM audit WHERE seq < 3', 'audit_kept')
    expect(await chain(env)).toMatch(/^failed .*The chain breaks at the row .*, the first row/)
  })

  test('the file refuses to remove other rows than those', async () => {
    const env = await trimmed(3)
    expect(() => change(env, 'DELETE FROM audit WHERE seq = 4')).toThrow('A row of the audit is never removed')
    change(env, 'DELETE FROM audit WHERE seq <= 3')
    expect(await chain(env)).toMatch(/^ok /)
  })

  test('the doctor says how long rows are kept, and warns if older ones are left', async () => {
    const env = await trimmed(3)
    expect(await chain({ ...env, AUDIT_RETENTION: '30d' })).toMatch(/^ok .*; rows are kept for 30d$/)
    expect(await chain({ ...env, AUDIT_RETENTION: '1d' })).toMatch(
      /^warning .*; rows are kept for 1d, but the oldest is from 7d ago/,
    )
  })
})
