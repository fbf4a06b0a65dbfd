import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SQL } from 'bun'
import { openAuthStore } from '../../db/auth/store.ts'
import { CHAIN_HEAD } from '../../db/schema/audit-chain.ts'
import { examineChain } from '../../db/sqlite/audit-chain.ts'
import { authMigrations } from '../../db/sqlite/migrations/auth.ts'
import { openDatabase } from '../../db/sqlite/open-database.ts'
import type { AuthStore } from '../../services/auth/store/index.ts'
import { migratedDatabaseConfig } from '../support/postgres/migrated.ts'
import { newDatabaseConfig, runStatements, sharedPostgres } from '../support/postgres/shared.ts'
import { account, authStoreSuite, event, id, NOW, rotation, session } from './auth-suite.ts'
import { clientStoreSuite } from './clients-suite.ts'
import { enrolledApp, enrolledPasskey, factorStoreSuite } from './factors-suite.ts'
import { grantStoreSuite } from './grants-suite.ts'
import { webhookStoreSuite } from './webhooks-suite.ts'

setDefaultTimeout(60_000)

const { adminUrl } = await sharedPostgres()
const folder = mkdtempSync(join(tmpdir(), 'ch202-auth-postgres-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe('the auth store on PostgreSQL', () => {
  const open = async () => openAuthStore(await migratedDatabaseConfig())
  authStoreSuite(open)
  describe('events and webhooks', () => webhookStoreSuite(open))
  describe('second factors', () => factorStoreSuite(open))
  describe('clients', () => clientStoreSuite(open))
  describe('grants', () => grantStoreSuite(open))
})

describe('several nodes on one PostgreSQL', () => {
  /** Opens one database as several nodes do, all at once. */
  const withNodes = async (use: (nodes: [AuthStore, AuthStore, AuthStore], url: string) => Promise<void>) => {
    const config = await newDatabaseConfig()
    const node = () => openAuthStore(config)
    const nodes = await Promise.all([node(), node(), node()])
    try {
      await use(nodes, adminUrl(config.databaseUrl))
    } finally {
      for (const store of nodes) await store.close()
    }
  }
  /** Runs jobs, each on one of three nodes, at most two of a node at once. @returns their results in order */
  const onNodes = async <Result>(nodes: AuthStore[], jobs: ((node: AuthStore) => Promise<Result>)[]) => {
    const results: Result[] = []
    const work = nodes.flatMap((node, index) => [index, index + 3].map((first) => ({ node, first })))
    const run = async ({ first, node }: (typeof work)[number]) => {
      for (let n = first; n < jobs.length; n += 6) results[n] = (await jobs[n]?.(node)) as Result
    }
    await Promise.all(work.map(run))
    return results
  }
  const logIn = async (store: AuthStore) => {
    const user = account()
    await store.syncAccount(user, NOW, event)
    const opened = session(user.userId)
    await store.openSession(opened, event())
    return opened
  }

  /** Copies the audit and its head into a SQLite file, as rows, and examines the chain there. */
  const examineCopy = async (url: string) => {
    const sql = new SQL({ url, max: 1 })
    const copy = openDatabase(join(folder, `${crypto.randomUUID()}.sqlite`), 'auth', authMigrations)
    try {
      const rows = await sql.unsafe('SELECT * FROM auth.audit ORDER BY seq').values()
      const insert = copy.raw.query('INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)')
      for (const [seq, rowId, at, ...row] of rows) insert.run(Number(seq), rowId, Number(at), ...row)
      const [fact] = await sql.unsafe('SELECT value FROM auth.facts WHERE name = $1', [CHAIN_HEAD])
      copy.raw.query('UPDATE facts SET value = ? WHERE name = ?').run(fact?.value ?? '', CHAIN_HEAD)
      return examineChain(copy.raw)
    } finally {
      await copy.close()
      await sql.close()
    }
  }

  test('check 46: a code of an app, a recovery code and a challenge of a passkey are used on one of them', () =>
    withNodes(async (nodes) => {
      const [node] = nodes
      const { id: sessionId, userId } = await logIn(node)
      const codes = Array.from({ length: 10 }, () => randomBytes(32))
      const used = () => ({ hash: randomBytes(32), expiresAt: NOW + 60_000 })
      const passkey = await enrolledPasskey(node, { userId, sessionId, codes, challenge: used() })
      const app = await enrolledApp(node, { userId, sessionId })
      for (const [round, code] of codes.slice(0, 4).entries()) {
        const login = { id: passkey, counter: round + 1, backedUp: false, challenge: used(), now: NOW }
        const ways: ((store: AuthStore) => Promise<boolean>)[] = [
          (store) => store.useTotp(app, 200 + round, NOW),
          (store) => store.useRecoveryCode(userId, code, event('recovery_code.used', userId)),
          (store) => store.usePasskey(login),
        ]
        for (const use of ways) {
          const results = await onNodes(
            nodes,
            Array.from({ length: 30 }, () => use),
          )
          expect(results.filter(Boolean)).toHaveLength(1)
        }
      }
    }))

  test('they start with one epoch', () =>
    withNodes(async (nodes) => {
      expect(new Set(nodes.map(({ epoch }) => epoch)).size).toBe(1)
    }))

  test('they write one chain of the audit, which stays valid when its rows are copied', () =>
    withNodes(async (nodes, url) => {
      const repeated = event()
      const texts = ['é', '\u{1f40e}', '\ud800', '"\\', '']
      const events = Array.from({ length: 60 }, (_, n) => ({
        ...event('test.event', n % 2 ? id() : null),
        ip: texts[n % 5] ?? null,
        detail: { text: `${texts[n % 5]}\0`, number: 2 ** 53 - 1 },
      }))
      const all = [repeated, ...events, repeated, repeated]
      await onNodes(
        nodes,
        all.map((added) => (node) => node.addAuditEvent(added)),
      )
      await nodes[0].chainAudit()
      expect(await examineCopy(url)).toEqual({ rows: 61, head: expect.any(String), oldest: expect.any(Number) })
      const { rows } = await nodes[0].listAuditEvents({}, { size: 100, page: 1 })
      expect(rows.map((row) => row.id).toSorted()).toEqual([repeated, ...events].map((row) => row.id).toSorted())
    }))

  test.each(['DELETE FROM auth.facts', "UPDATE auth.facts SET value = '1:x'"])(
    'a row after %s marks the break of the chain',
    (tamper) =>
      withNodes(async (nodes, url) => {
        for (let n = 0; n < 3; n++) await nodes[0].addAuditEvent(event())
        await nodes[0].chainAudit()
        const sql = new SQL({ url, max: 1 })
        await sql.unsafe(`${tamper} WHERE name = '${CHAIN_HEAD}'`)
        await sql.close()
        await nodes[1].addAuditEvent(event())
        await nodes[1].chainAudit()
        expect(await examineCopy(url)).toMatchObject({ rows: 3, fault: expect.stringContaining('The chain breaks at') })
      }),
  )

  test('a reader of the feed misses no entry', () =>
    withNodes(async (nodes) => {
      const sessions = []
      for (let n = 0; n < 45; n++) sessions.push(await logIn(nodes[0]))
      const ends = onNodes(
        nodes,
        sessions.map((opened) => (node) => node.endSession(opened.id, null, { reason: 'logout', now: NOW }, event())),
      )
      const seen: string[] = []
      for (let after = 0; seen.length < sessions.length; ) {
        const { revocations, seq } = await nodes[1].revocationsAfter(after, 10)
        seen.push(...revocations.map(({ subject }) => subject))
        after = seq
      }
      const inOrder = (await ends).toSorted((one, other) => (one?.seq ?? 0) - (other?.seq ?? 0))
      expect(seen).toEqual(inOrder.map((ended) => String(ended?.revocations[0]?.subject)))
      expect(new Set(seen)).toEqual(new Set(sessions.map(({ id }) => id)))
    }))

  test('a reader whose last entry is not in the feed begins with the first one', () =>
    withNodes(async ([node], url) => {
      const end = async () => {
        const { id } = await logIn(node)
        return { id, seq: (await node.endSession(id, null, { reason: 'logout', now: NOW }, event()))?.seq ?? 0 }
      }
      const [first, second, third] = [await end(), await end(), await end()]
      const read = async (seq: number) => {
        const page = await node.revocationsAfter(seq, 10)
        return { ...page, revocations: page.revocations.map(({ subject }) => subject) }
      }
      expect(await read(first.seq)).toEqual({
        revocations: [second.id, third.id],
        seq: third.seq,
        hasRestarted: false,
      })
      expect(await read(third.seq)).toEqual({ revocations: [], seq: third.seq, hasRestarted: false })
      await runStatements(url, `DELETE FROM auth.revocations WHERE seq > ${first.seq}`)
      for (const { seq } of [second, third])
        expect(await read(seq)).toEqual({ revocations: [first.id], seq: first.seq, hasRestarted: true })
      await runStatements(url, 'DELETE FROM auth.revocations')
      expect(await read(third.seq)).toEqual({ revocations: [], seq: 0, hasRestarted: true })
    }))

  test('refreshes at once on nodes whose clocks differ end no session', () =>
    withNodes(async (nodes) => {
      const opened = await logIn(nodes[0])
      const refreshes = Array.from({ length: 30 }, (_, n) => (node: AuthStore) => {
        const now = NOW + nodes.indexOf(node) * 50 + n
        return node.rotateSession(rotation(opened.id, 0, { now }), event)
      })
      const outcomes = (await onNodes(nodes, refreshes)).map(({ outcome }) => outcome)
      expect(outcomes.toSorted()).toEqual([...Array(29).fill('repeated'), 'rotated'])
    }))

  test.each([
    [2000, 'repeated'],
    [2001, 'reused'],
  ] as const)('a clock that is %d ms behind the last rotation: the earlier token is %s', (behind, outcome) =>
    withNodes(async (nodes) => {
      const opened = await logIn(nodes[0])
      await nodes[0].rotateSession(rotation(opened.id, 0), event)
      const again = await nodes[1].rotateSession(rotation(opened.id, 0, { now: NOW - behind }), event)
      expect(again.outcome).toBe(outcome)
    }),
  )

  test('a start beside a node that runs moves no grace period', () =>
    withNodes(async (nodes) => {
      const opened = await logIn(nodes[0])
      await nodes[0].rotateSession(rotation(opened.id, 0), event)
      await nodes[0].recordHeartbeat(NOW + 9000)
      await nodes[1].resumeGrace(NOW + 10_000, 10_000)
      expect((await nodes[2].sessionById(opened.id))?.rotatedAt).toBe(NOW)
    }))
})
