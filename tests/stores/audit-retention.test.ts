import { describe, expect, test } from 'bun:test'
import { openAuthStore } from '../../db/auth/store.ts'
import type { ChainedRow } from '../../db/schema/audit-chain.ts'
import { ChainCheck } from '../../db/schema/audit-check.ts'
import { AuditRetention } from '../../services/auth/audit/retention.ts'
import type { AuthStore, ChainedEvent } from '../../services/auth/store/index.ts'
import { systemRandom } from '../../services/kit/random.ts'
import { openBoth } from './at-once.ts'
import { event } from './auth-suite.ts'

const DAY = 86_400_000
const NOW = Date.parse('2026-06-01T12:00:00Z')
/** More than two batches. */
const MANY = 2100

const { both } = await openBoth((config) => openAuthStore(config))

async function chainOf(store: AuthStore): Promise<{ rows: ChainedEvent[]; fault: string | undefined }> {
  const rows: ChainedEvent[] = []
  for (let after: number | null = null; ; ) {
    const part = await store.auditChain({}, after, 500)
    rows.push(...part.rows)
    after = part.next
    if (after !== null) continue
    const check = new ChainCheck()
    for (const row of rows) {
      const report = check.add(chained(row))
      if (report) return { rows, fault: report.fault }
    }
    return { rows, fault: check.end(part.head ?? undefined).fault }
  }
}

function chained(event: ChainedEvent): ChainedRow {
  const { actor, at, detail, detailSeal, id, ip, originSeal, prevHash, requestId, rowHash, seq, type, userId } = event
  const hashes = [prevHash, originSeal, detailSeal, rowHash].map((hex) => hex && Buffer.from(hex, 'hex'))
  return [seq, id, at, type, userId, actor, ip, requestId, JSON.stringify(detail), ...hashes]
}

function retentionOf(store: AuthStore, now: () => number, days: number | 'forever' = 30) {
  const retention = days === 'forever' ? undefined : days * DAY
  const errors: object[] = []
  const log = { error: (line: object) => errors.push(line) } as never
  const clock = { now, monotonic: now }
  return { errors, retention: new AuditRetention({ store, clock, random: systemRandom, log, retention }) }
}

/** Adds rows, each a second after the one before. */
async function add(store: AuthStore, at: number, count: number): Promise<void> {
  for (let n = 0; n < count; n += 50)
    await Promise.all(
      Array.from({ length: Math.min(50, count - n) }, (_, index) =>
        store.addAuditEvent({ ...event(), at: at + (n + index) * 1000 }),
      ),
    )
}

describe.each(both)('AUDIT_RETENTION on %s', (_, store) => {
  test('removes older rows in batches, says which ones, and the chain verifies at every step', async () => {
    await add(store, NOW - 40 * DAY, MANY)
    await add(store, NOW - 10 * DAY, 3)
    const before = await chainOf(store)
    expect([before.rows.length, before.fault]).toEqual([MANY + 3, undefined])
    const last = before.rows[MANY]
    let steps = 0
    const watched: AuthStore = {
      ...store,
      async removeTrimmedAudit() {
        expect((await chainOf(store)).fault).toBeUndefined()
        steps++
        return await store.removeTrimmedAudit()
      },
    }
    const { errors, retention } = retentionOf(watched, () => NOW)
    await retention.tidy()
    // The first one looks for what an interrupted removal has left.
    expect([errors, steps]).toEqual([[], 4])
    const { fault, rows } = await chainOf(store)
    expect(fault).toBeUndefined()
    expect(rows.map(({ id }) => id).slice(0, 3)).toEqual(before.rows.slice(MANY).map(({ id }) => id))
    expect(rows.slice(3)).toMatchObject([
      {
        type: 'audit.trimmed',
        actor: 'auth',
        detail: {
          rows: MANY,
          until: '2026-05-02T12:00:00.000Z',
          seq: (last?.seq ?? 0) - 1,
          hash: last?.prevHash ?? '',
        },
      },
    ])
  })

  test('does nothing again within a day, or when no row is old', async () => {
    let now = NOW
    const { retention } = retentionOf(store, () => now)
    const count = async () => (await chainOf(store)).rows.length
    const before = await count()
    await retention.tidy()
    now += DAY / 2
    await retention.tidy()
    expect(await count()).toBe(before)
    await retentionOf(store, () => NOW + 3650 * DAY, 'forever').retention.tidy()
    expect(await count()).toBe(before)
  })

  test('is finished when it was interrupted, and meanwhile the chain verifies', async () => {
    await add(store, NOW + 20 * DAY, 1200)
    await add(store, NOW + 40 * DAY, 1)
    const now = NOW + 60 * DAY
    let calls = 0
    const failing: AuthStore = {
      ...store,
      removeTrimmedAudit: async () => {
        await store.removeTrimmedAudit()
        if (++calls === 2) throw new Error('interrupted')
        return false
      },
    }
    const { errors, retention } = retentionOf(failing, () => now)
    await retention.tidy()
    expect(errors.length).toBe(1)
    const half = await chainOf(store)
    // One batch of the rows is gone.
    expect([half.fault, half.rows.filter(({ at }) => at < now - 30 * DAY).length]).toEqual([undefined, 204])
    await retentionOf(store, () => now).retention.tidy()
    const { fault, rows } = await chainOf(store)
    expect([fault, rows.filter(({ at }) => at < now - 30 * DAY).length]).toEqual([undefined, 0])
    expect(rows.filter(({ type }) => type === 'audit.trimmed').length).toBe(1)
  })

  test('removes every row but its own, if all are old, and the next rows continue the chain', async () => {
    const now = NOW + 200 * DAY
    await retentionOf(store, () => now).retention.tidy()
    const only = await chainOf(store)
    expect([only.fault, only.rows.map(({ type }) => type)]).toEqual([undefined, ['audit.trimmed']])
    await add(store, now, 2)
    const { fault, rows } = await chainOf(store)
    expect([fault, rows.length]).toEqual([undefined, 3])
    expect((rows[1]?.seq ?? 0) > (rows[0]?.seq ?? 0)).toBe(true)
  })

  test('keeps what is younger, although a row of a wrong clock is before it', async () => {
    const now = NOW + 400 * DAY
    await add(store, now + 9000 * DAY, 1)
    await add(store, now - DAY, 2)
    await retentionOf(store, () => now).retention.tidy()
    const { fault, rows } = await chainOf(store)
    expect([fault, rows.map(({ at }) => at)]).toEqual([undefined, [now - DAY, now - DAY + 1000, now]])
  })
})
