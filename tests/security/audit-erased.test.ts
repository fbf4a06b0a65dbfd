import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { openAuthStore } from '../../db/auth/store.ts'
import { CHAIN_HEAD, type ChainedRow, headText, linkOf, NO_HASH, parseHead } from '../../db/schema/audit-chain.ts'
import { examineChain } from '../../db/sqlite/audit-chain.ts'
import type { AuthStore } from '../../services/auth/store/index.ts'
import { emailKey } from '../../services/kit/schema/email.ts'
import { temporary } from '../support/tool.ts'

const folder = temporary('audit-erased')
afterAll(() => folder.remove())

const ANA = '01980000-0000-7000-8000-00000000000a'
const BEN = '01980000-0000-7000-8000-00000000000b'
const ADDRESS = '198.51.100.42'
const EMAIL = 'Ana@Example.org'

const event = (
  type: string,
  userId: string | null,
  actor = `user:${userId}`,
  detail: Record<string, unknown> = {},
) => ({
  id: Bun.randomUUIDv7(),
  at: Date.now(),
  type,
  userId,
  actor,
  ip: ADDRESS,
  requestId: 'r-1',
  detail,
})

const fileIn = (dataDir: string) => join(dataDir, 'auth.sqlite')

/** Adds a row as a version without seals wrote it. */
function addUnsealed(
  dataDir: string,
  { actor, at, detail, id, ip, requestId, type, userId }: ReturnType<typeof event>,
) {
  const raw = new Database(fileIn(dataDir))
  const head = parseHead(
    raw.query<{ value: string }, [string]>('SELECT value FROM facts WHERE name = ?').get(CHAIN_HEAD)?.value,
  )
  const prev = head?.hash ?? NO_HASH
  const row: ChainedRow = [(head?.seq ?? 0) + 1, id, at, type, userId, actor, ip, requestId, JSON.stringify(detail)]
  raw
    .query(
      `INSERT INTO audit (seq, id, at, type, user_id, actor, ip, request_id, detail, prev_hash)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, unhex(?))`,
    )
    .run(...(row as unknown as never[]), prev)
  raw
    .query('INSERT INTO facts VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value')
    .run(CHAIN_HEAD, headText(linkOf(row, prev)))
  raw.close()
}

async function withStore(dataDir: string, use: (store: AuthStore) => Promise<unknown>): Promise<void> {
  const store = await openAuthStore({ dataDir })
  await use(store)
  await store.close()
}

async function eraseAna(store: AuthStore): Promise<void> {
  await store.addAuditEvent(event('user.erased', ANA, 'operator'))
  await store.beginErasure({ userId: ANA, emails: [emailKey(EMAIL)], keys: [] }, Date.now())
  await eraseRows(store, ANA)
}

async function eraseRows(store: AuthStore, userId: string): Promise<void> {
  const remains = (rows: unknown[]) => ({ ...event('erasure.remains', null, 'auth', { rows }), ip: null })
  while ((await store.eraseAudit(userId, remains)) !== 'done');
}

const ROWS = [
  event('user.created', ANA, 'anyone', { roles: ['USER'] }),
  event('user.updated', ANA, 'operator', { fields: ['name'] }),
  event('user.roles_changed', BEN, `user:${ANA}`, { to: ['EDITOR'] }),
  event('key.rotated', null, `user:${ANA}`, { kid: 'k' }),
  event('login.failed', null, 'anyone', { email: EMAIL }),
  event('login.failed', null, 'anyone', { email: 'ben@example.org' }),
  event('session.created', BEN),
]

/** The columns of the rows that an erasure may change. */
function partsIn(dataDir: string) {
  const raw = new Database(fileIn(dataDir), { readonly: true })
  const rows = raw.query<{ ip: string | null; detail: string }, []>('SELECT ip, detail FROM audit ORDER BY seq').all()
  raw.close()
  return rows.slice(0, ROWS.length).map(({ detail, ip }) => [ip, JSON.parse(detail)])
}

const ERASED = { erased: true }

describe.each(['with seals', 'of an earlier version'])('check 40: rows %s', (kind) => {
  const isSealed = kind === 'with seals'
  let template: string
  beforeAll(async () => {
    template = folder.fresh()
    await withStore(template, async (store) => {
      if (isSealed) for (const row of ROWS) await store.addAuditEvent(row)
    })
    if (!isSealed) for (const row of ROWS) addUnsealed(template, row)
    await withStore(template, async (store) => {
      await eraseAna(store)
      await store.addAuditEvent(event('session.created', BEN))
    })
  })

  const examine = (dataDir: string) => {
    const raw = new Database(fileIn(dataDir))
    const report = examineChain(raw)
    raw.close()
    return report
  }
  /** Changes a copy of the file as an attacker does who knows SQLite and the chain. */
  const tampered = (sql: string) => {
    const copy = folder.fresh()
    cpSync(template, copy, { recursive: true })
    const raw = new Database(fileIn(copy))
    for (const trigger of ['audit_unchanged', 'audit_kept']) raw.run(`DROP TRIGGER ${trigger}`)
    raw.run(sql)
    raw.close()
    return examine(copy).fault ?? ''
  }

  test('lose what is about an erased user, and nothing else, and the chain verifies', () => {
    expect(partsIn(template)).toEqual([
      [null, ERASED],
      // Without digests, the hash covers all parts together.
      [isSealed ? ADDRESS : null, ERASED],
      [null, { to: ['EDITOR'] }],
      [null, { kid: 'k' }],
      [null, ERASED],
      [ADDRESS, { email: 'ben@example.org' }],
      [ADDRESS, {}],
    ])
    expect(examine(template)).toMatchObject({ rows: ROWS.length + (isSealed ? 2 : 3), erased: 5 })
    expect(examine(template).fault).toBeUndefined()
  })

  test.each([
    ['an address that is put into it', "UPDATE audit SET ip = '192.0.2.1' WHERE seq = 1"],
    ['a detail that is put into it', `UPDATE audit SET detail = '{"roles":[]}' WHERE seq = 1`],
    ['another order', 'UPDATE audit SET seq = -1 WHERE seq = 1'],
    ['removal', 'DELETE FROM audit WHERE seq = 1'],
    ['no erasure of its user', "DELETE FROM audit WHERE type = 'user.erased'"],
  ])('an erased one, altered: %s', (_, sql) => {
    expect(tampered(sql)).not.toBe('')
  })

  test.each(["type = 'x.y'", 'at = at + 1', "actor = 'cli'", "id = 'x'", `user_id = '${BEN}'`, "prev_hash = x'01'"])(
    'an erased one, altered: %s',
    (set) => {
      for (const seq of [1, 2, 5])
        expect([seq, tampered(`UPDATE audit SET ${set} WHERE seq = ${seq}`)]).not.toEqual([seq, ''])
    },
  )

  test('another one, altered as if it were one of an earlier version that was erased', () => {
    const set = "detail = '{}', ip = NULL, request_id = NULL, row_hash = zeroblob(32)"
    const hash = '(SELECT next.prev_hash FROM audit AS next WHERE next.seq = audit.seq + 1)'
    for (const seq of [3, 4, 6, 7])
      for (const more of ["type = 'x.y'", `actor = 'user:${ANA}'`, `user_id = '${ANA}'`])
        expect([
          seq,
          tampered(`UPDATE audit SET ${set.replace('zeroblob(32)', hash)}, ${more} WHERE seq = ${seq}`),
        ]).not.toEqual([seq, ''])
  })
})

describe('check 40: an attacker who erases a row of someone who was not erased', () => {
  let dataDir: string
  beforeAll(async () => {
    dataDir = folder.fresh()
    await withStore(dataDir, async (store) => {
      for (const row of ROWS) await store.addAuditEvent(row)
      await store.beginErasure({ userId: BEN, emails: [], keys: [] }, Date.now())
      await eraseRows(store, BEN)
    })
  })

  test('is found: no row says that the user was erased', () => {
    const raw = new Database(fileIn(dataDir))
    expect(examineChain(raw).fault).toMatch(/^A part of the row .* was erased or altered, and no row records that$/)
    raw.close()
  })

  test('the file refuses other changes, and erasures of others', () => {
    const raw = new Database(fileIn(dataDir))
    const refused = 'A row of the audit is never changed'
    for (const sql of [
      "UPDATE audit SET detail = '{}' WHERE seq = 7",
      "UPDATE audit SET ip = '192.0.2.1' WHERE seq = 7",
      "UPDATE audit SET type = 'x.y' WHERE seq = 7",
      `UPDATE audit SET ip = NULL, request_id = NULL, detail = '{"erased":true}', origin_seal = zeroblob(32) WHERE seq = 1`,
    ])
      expect(() => raw.run(sql)).toThrow(refused)
    raw.close()
  })
})

test('the same address has another digest in each row', async () => {
  const dataDir = folder.fresh()
  await withStore(dataDir, async (store) => {
    for (let n = 0; n < 3; n++) await store.addAuditEvent(event('session.created', ANA))
    await eraseAna(store)
  })
  const raw = new Database(fileIn(dataDir), { readonly: true })
  const rows = raw
    .query<{ seal: string; size: number }, []>(
      "SELECT hex(origin_seal) AS seal, length(origin_seal) AS size FROM audit WHERE type = 'session.created'",
    )
    .all()
  raw.close()
  expect(new Set(rows.map(({ seal }) => seal)).size).toBe(3)
  expect(rows.map(({ size }) => size)).toEqual([32, 32, 32])
})
