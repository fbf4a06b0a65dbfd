import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { auditChecks } from '../../cli/commands/doctor/audit.ts'
import { createContext } from '../../cli/commands/doctor/context.ts'
import { auditStore } from '../../db/auth/audit/audit.ts'
import { openAuthStore } from '../../db/auth/store.ts'
import type { Body } from '../../db/engine.ts'
import { createBackup } from '../../db/sqlite/backup/create.ts'
import { verifyBackup } from '../../db/sqlite/backup/verify.ts'
import { authMigrations } from '../../db/sqlite/migrations/auth.ts'
import { openDatabase } from '../../db/sqlite/open-database.ts'
import { databases } from '../../services/databases.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import { launch, ownSettings, runTool, temporary } from '../support/tool.ts'

setDefaultTimeout(120_000)

const folder = temporary('audit')
afterAll(() => folder.remove())

const ROWS = 6
const MANY = 2500

function event(fields: Partial<AuditEvent> = {}): AuditEvent {
  return {
    id: Bun.randomUUIDv7(),
    at: Date.now(),
    type: 'session.created',
    userId: null,
    actor: 'anyone',
    ip: '203.0.113.7',
    requestId: 'r-1',
    detail: { session_id: 'Zoë\n\u0000\ud800 "1"' },
    ...fields,
  }
}

const fileIn = (dataDir: string) => join(dataDir, 'auth.sqlite')

/** Runs statements on a file like an attacker who knows SQLite but not the chain. */
function tamper(dataDir: string, ...statements: string[]): void {
  const raw = new Database(fileIn(dataDir))
  const triggers = raw.query<{ name: string; sql: string }, []>(
    "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'",
  )
  const definitions = triggers.all()
  for (const { name } of definitions) raw.run(`DROP TRIGGER ${name}`)
  for (const sql of statements) raw.run(sql)
  for (const { sql } of definitions) raw.run(sql)
  raw.run('PRAGMA wal_checkpoint(TRUNCATE)')
  raw.close()
}

/** The doctor's diagnosis of the audit in a data directory. */
async function diagnosis(dataDir: string) {
  const { close, context: scene } = createContext({ ...ownSettings(dataDir) }, false)
  try {
    const result = await auditChecks[0]?.run(scene)
    return { status: result?.status, message: result?.message ?? '' }
  } finally {
    close()
  }
}

/** A data directory whose audit has `rows` rows. */
async function instance(rows = ROWS): Promise<string> {
  const dataDir = folder.fresh()
  const store = await openAuthStore({ dataDir })
  for (let n = 0; n < rows; n++)
    await store.addAuditEvent(event({ at: Date.parse('2026-01-01') + n, requestId: `r-${n}` }))
  await store.close()
  return dataDir
}

function copyOf(dataDir: string): string {
  const copy = folder.fresh()
  cpSync(dataDir, copy, { recursive: true })
  return copy
}

function rowAt(dataDir: string, seq: number): { id: string; at: number } {
  const raw = new Database(fileIn(dataDir), { readonly: true })
  const row = raw.query<{ id: string; at: number }, [number]>('SELECT id, at FROM audit WHERE seq = ?').get(seq)
  raw.close()
  if (!row) throw new Error(`There is no row ${seq}`)
  return row
}

describe('check 40: the doctor detects changes to the file', () => {
  const set = (what: string, seq: number) => `UPDATE audit SET ${what} WHERE seq = ${seq}`
  const remove = (where: string) => `DELETE FROM audit WHERE ${where}`
  const insert = (seq: string, prev: string) =>
    `INSERT INTO audit SELECT ${seq}, 'x', at, type, user_id, actor, ip, request_id, detail, ${prev}, origin_seal, detail_seal,
      row_hash FROM audit WHERE seq = 3`
  const head = (value: string) => `UPDATE facts SET value = ${value} WHERE name = 'audit_head'`
  const columns =
    "at = at + 1,type = 'x.y',user_id = 'u',actor = 'operator',ip = NULL,request_id = 'x',detail = '{}',id = 'x'"
  const altered = columns.split(',').flatMap((what): [string, string[], number][] => [
    [`altered: ${what}`, [set(what, 3)], 4],
    [`altered in the last row: ${what}`, [set(what, ROWS)], ROWS],
  ])

  const rows: [what: string, statements: string[], at: number | null][] = [
    ...altered,
    ['altered: no address, and an empty one', [set("ip = ''", 3)], 4],
    ['altered: seq', [set('seq = 90', ROWS)], 90],
    ['altered: prev_hash', [set('prev_hash = zeroblob(32)', 3)], 3],
    ['altered: prev_hash, to nothing', [set('prev_hash = NULL', 1)], 1],
    ['the first removed', [remove('seq = 1')], 2],
    ['one in the middle removed', [remove('seq = 3')], 4],
    ['the last removed', [remove(`seq = ${ROWS}`)], ROWS - 1],
    ['the last three removed', [remove('seq > 3')], 3],
    ['all removed', [remove('true')], null],
    ['all removed, and the head', [remove('true'), "DELETE FROM facts WHERE name = 'audit_head'"], null],
    ['one put there at the end', [insert('7', 'prev_hash')], 7],
    [
      'one put there at the end that fits',
      [insert('7', "(SELECT unhex(substr(value, -64)) FROM facts WHERE name = 'audit_head')")],
      7,
    ],
    ['one put there at the beginning', [insert('0', 'zeroblob(32)')], 1],
    ['one put there in between', [set('seq = seq + 10', 5), set('seq = seq + 10', 6), insert('5', 'prev_hash')], 5],
    ['two swapped', [set('seq = -2', 2), set('seq = 2', 3), set('seq = 3', -2)], 2],
    ['the head removed', ["DELETE FROM facts WHERE name = 'audit_head'"], ROWS],
    ['the head altered', [head("'6:' || hex(zeroblob(32))")], ROWS],
    ['the head altered, in its place', [head("'4' || substr(value, 2)")], 5],
    ['the head altered, to nothing', [head("''")], ROWS],
  ]
  let template: string
  beforeAll(async () => {
    template = await instance()
  })

  test.each(rows)('%s', async (_, statements, at) => {
    expect((await diagnosis(template)).status).toBe('ok')
    const dataDir = copyOf(template)
    tamper(dataDir, ...statements)
    const { message, status } = await diagnosis(dataDir)
    expect([status, message]).toEqual(['failed', expect.any(String)])
    if (at === null) return
    const row = rowAt(dataDir, at)
    expect(message).toContain(`the row ${row.id} of ${new Date(row.at).toISOString()}`)
  })

  test('later rows do not repair a broken chain', async () => {
    for (const [what, statements] of rows) {
      // No row was changed, and each new row sets the place again.
      if (what === 'the head altered, in its place') continue
      const dataDir = copyOf(template)
      tamper(dataDir, ...statements)
      const store = await openAuthStore({ dataDir })
      for (let n = 0; n < 2; n++) await store.addAuditEvent(event())
      await store.close()
      expect([what, (await diagnosis(dataDir)).status]).toEqual([what, 'failed'])
    }
  })

  test('the number of intact rows and the head, to be stored elsewhere, are reported', async () => {
    const { message } = await diagnosis(await instance())
    const [, head = ''] = /^6 rows, head ([0-9a-f]{32})$/.exec(message) ?? []
    const dataDir = await instance()
    const before = (await diagnosis(dataDir)).message.slice(-32)
    expect(before).not.toBe(head)
    const store = await openAuthStore({ dataDir })
    await store.addAuditEvent(event({ id: '01980000-0000-7000-8000-000000000001' }))
    await store.close()
    const raw = new Database(fileIn(dataDir), { readonly: true })
    // As documented: the next row contains the previous head.
    const next = raw
      .query<{ id: string }, [string]>('SELECT id FROM audit WHERE hex(prev_hash) LIKE ?')
      .get(`${before}%`)
    raw.close()
    expect(next?.id).toBe('01980000-0000-7000-8000-000000000001')
  })

  test('a backup of a changed file does not verify, and can still be restored', async () => {
    const dataDir = await instance()
    for (const { migrations, name, path } of databases(dataDir)) openDatabase(path, name, migrations).close()
    const backup = async () => (await createBackup(dataDir, folder.fresh())).path
    const verified = async (path: string) => {
      const { checks, verifiedAt } = await verifyBackup(path, () => true, Date.now())
      return [verifiedAt !== null, checks.filter(({ ok }) => !ok).map(({ id }) => id)]
    }
    expect(await verified(await backup())).toEqual([true, []])
    tamper(dataDir, set("actor = 'operator'", 3))
    const path = await backup()
    expect(await verified(path)).toEqual([false, ['audit']])
    const restored = await runTool(['restore', path, '--to', folder.fresh(), '--yes'], { env: ownSettings(dataDir) })
    expect([restored.status, restored.stderr]).toEqual([0, expect.any(String)])
  })
})

describe('check 40: rows of the audit can only be added', () => {
  test('an UPDATE or a DELETE of a row is refused', async () => {
    const dataDir = await instance()
    const raw = new Database(fileIn(dataDir))
    for (const sql of ["UPDATE audit SET actor = 'x'", 'UPDATE audit SET prev_hash = NULL', 'DELETE FROM audit'])
      expect(() => raw.run(sql)).toThrow(/^A row of the audit is never (changed|removed)$/)
    raw.close()
    expect((await diagnosis(dataDir)).status).toBe('ok')
  })

  test('a duplicate row, or a row that is rolled back, does not change the chain', async () => {
    const dataDir = await instance(0)
    const sqlite = openDatabase(fileIn(dataDir), 'auth', authMigrations)
    const audit = auditStore(sqlite)
    const again = event()
    const undone = () =>
      sqlite.write(function* (tx): Body<void> {
        yield* audit.writeEvents(tx, [event()])
        throw new Error('undone')
      })
    // All in one commit: each job is a savepoint, and the last is rolled back.
    const done = [
      audit.addAuditEvent(event()),
      undone(),
      audit.addAuditEvent(again),
      audit.addAuditEvent(again),
      undone(),
    ]
    expect((await Promise.allSettled(done)).map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
      'rejected',
    ])
    await audit.addAuditEvent(again)
    await sqlite.close()
    expect(await diagnosis(dataDir)).toEqual({ status: 'ok', message: expect.stringMatching(/^2 rows/) })
  })

  test('the doctor sees an intact chain while other processes write', async () => {
    const dataDir = await instance()
    const store = await openAuthStore({ dataDir })
    let over = false
    let written = ROWS
    const writer = async () => {
      for (; !over; written++) await store.addAuditEvent(event())
    }
    const writers = Promise.all(Array.from({ length: 16 }, writer))
    const env = ownSettings(dataDir)
    const counts: number[] = []
    for (let n = 0; n < 3; n++) {
      const { status, stdout } = await runTool(['doctor', '--only', 'audit.chain'], { env })
      const [, rows = ''] = /^ok {7}audit\.chain {2}([\d,]+) rows, head /.exec(stdout) ?? []
      expect([status, stdout, rows]).toEqual([0, stdout, expect.stringMatching(/\d/)])
      counts.push(Number(rows.replaceAll(',', '')))
    }
    over = true
    await writers
    await store.close()
    expect(counts).toEqual(counts.toSorted((a, b) => a - b))
    expect(counts.at(-1)).toBeWithin(ROWS + 1, written + 1)
  })
})

describe('check 40: rows from before the chain', () => {
  /** A file as the previous version created it. */
  function earlier(rows: number): string {
    const dataDir = folder.fresh()
    const { raw } = openDatabase(fileIn(dataDir), 'auth', authMigrations.slice(0, 1))
    const add = raw.query('INSERT INTO audit (id, at, type, actor, detail) VALUES (?, ?, ?, ?, ?)')
    raw.run('BEGIN')
    for (let n = 0; n < rows; n++) add.run(Bun.randomUUIDv7(), n, 'session.created', 'anyone', `{ "n": ${n} }`)
    raw.run('COMMIT')
    raw.run('PRAGMA wal_checkpoint(TRUNCATE)')
    raw.close()
    return dataDir
  }
  const open = (dataDir: string) => openDatabase(fileIn(dataDir), 'auth', authMigrations).close()

  test.each([0, 1, 1000, MANY])('are chained by the migration: %d rows', async (rows) => {
    const dataDir = earlier(rows)
    expect((await diagnosis(dataDir)).status).toBe('skipped')
    open(dataDir)
    const { message, status } = await diagnosis(dataDir)
    expect([status, message]).toEqual([
      'ok',
      expect.stringMatching(new RegExp(`^${rows.toLocaleString('en-US')} rows?,`)),
    ])
    const store = await openAuthStore({ dataDir })
    await store.addAuditEvent(event())
    await store.close()
    expect((await diagnosis(dataDir)).status).toBe('ok')
  })

  test('are not chained again by a later start', async () => {
    const dataDir = earlier(MANY)
    open(dataDir)
    tamper(dataDir, "UPDATE audit SET actor = 'operator' WHERE seq = 7")
    open(dataDir)
    expect((await diagnosis(dataDir)).status).toBe('failed')
  })

  test('stay unchanged when the migration is killed, and the next start chains them', async () => {
    const template = earlier(MANY)
    await Promise.all(
      [0, 1, 1500, MANY - 1, MANY].map(async (n) => {
        const dataDir = copyOf(template)
        const script = join(import.meta.dir, 'killed-while-chaining.ts')
        const { status, stderr } = await launch([process.execPath, script, fileIn(dataDir), `${n}`]).ended
        expect([n, status === 0, stderr]).toEqual([n, false, ''])
        const raw = new Database(fileIn(dataDir))
        const columns = raw.query<{ name: string }, []>("SELECT name FROM pragma_table_info('audit')").all()
        const facts = raw.query("SELECT value FROM facts WHERE name = 'audit_head'").all()
        raw.close()
        expect([n, columns.map(({ name }) => name).includes('prev_hash'), facts]).toEqual([n, false, []])
        open(dataDir)
        expect([n, (await diagnosis(dataDir)).status]).toEqual([n, 'ok'])
        rmSync(dataDir, { recursive: true })
      }),
    )
  })
})
