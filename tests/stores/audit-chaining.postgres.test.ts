import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { auditChaining } from '../../db/auth/audit/chaining.ts'
import { openAuthStore } from '../../db/auth/store.ts'
import { BATCH } from '../../db/write-in-batches.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import { newDatabaseConfig, runStatements, sharedPostgres } from '../support/postgres/shared.ts'
import { account, event, NOW, session } from './auth-suite.ts'
import { type ChainingNode, examineChain, idsOf, openNode, writeAsFormerNode, writeSlowly } from './chaining-node.ts'

setDefaultTimeout(60_000)

const { adminUrl } = await sharedPostgres()

type Nodes = [ChainingNode, ChainingNode, ChainingNode]

/** Opens one new database as several nodes do. */
async function withNodes(use: (nodes: Nodes, url: string) => Promise<void>): Promise<void> {
  const config = await newDatabaseConfig()
  await (await openAuthStore(config)).close()
  const nodes: Nodes = [openNode(config.databaseUrl), openNode(config.databaseUrl), openNode(config.databaseUrl)]
  try {
    await use(nodes, adminUrl(config.databaseUrl))
  } finally {
    for (const { engine } of nodes) await engine.close()
  }
}

/** Chains again and again on each node, as one at a time does, and as readers do. @returns a function that ends that */
function keepChaining(nodes: readonly ChainingNode[]): () => Promise<void> {
  let isRunning = true
  const loops = nodes.map(async ({ audit }) => {
    for (; isRunning; await Bun.sleep(Math.random() * 5)) await audit.chainAudit()
  })
  return async () => {
    isRunning = false
    await Promise.all(loops)
  }
}

/** Runs jobs, eight at once. */
async function eightAtOnce(jobs: readonly (() => Promise<void>)[]): Promise<void> {
  const queue = [...jobs]
  const work = async () => {
    for (let job = queue.shift(); job; job = queue.shift()) await job()
  }
  await Promise.all(Array.from({ length: 8 }, work))
}

const countUnchained = async (url: string) =>
  Number(((await runStatements(url, 'SELECT count(*) AS n FROM auth.unchained_audit')) as [{ n: number }])[0].n)

describe('rows of the audit that are chained after their transaction', () => {
  test('many transactions at once, some killed before their commit: one chain has every committed row once', () =>
    withNodes(async (nodes, url) => {
      const end = keepChaining(nodes.slice(0, 2))
      const committed: AuditEvent[] = []
      const jobs = Array.from({ length: 240 }, (_, n) => async () => {
        const events = Array.from({ length: 1 + (n % 3) }, () => event())
        const isKilled = n % 6 === 0
        const node = isKilled ? openNode(url) : (nodes[n % 3] as ChainingNode)
        const written = writeSlowly(node, events, { wait: n % 5 === 0 ? Math.random() * 30 : 0, isKilled })
        if (isKilled) {
          await expect(written).rejects.toThrow()
          await node.engine.close()
        } else {
          await written
          committed.push(...events)
        }
      })
      await eightAtOnce(jobs)
      await end()
      const ids = await idsOf(nodes[2])
      expect(ids.toSorted()).toEqual(committed.map(({ id }) => id).toSorted())
      expect(await examineChain(url)).toMatchObject({ rows: committed.length })
      expect((await examineChain(url)).fault).toBeUndefined()
      expect(await countUnchained(url)).toBe(0)
    }))

  test('a row is in the list that any node gives after the answer to the change, before another node chains it', () =>
    withNodes(async (nodes) => {
      for (let n = 0; n < 30; n++) {
        const [writer, reader] = [nodes[n % 3], nodes[(n + 1) % 3]] as [ChainingNode, ChainingNode]
        const written = event()
        await writeSlowly(writer, [written], { wait: 0 })
        const { rows } = await reader.audit.listAuditEvents({}, { size: 1, page: 1 })
        expect(rows.map(({ id }) => id)).toEqual([written.id])
        expect(await writer.audit.placeOfAuditEvent(written.id)).toEqual([n + 1])
      }
    }))

  test('changes that follow one another, each on another node, keep their order, whatever the clocks of the nodes show', () =>
    withNodes(async (nodes, url) => {
      const end = keepChaining(nodes.slice(0, 1))
      const subjects = Array.from({ length: 6 }, () => [] as string[])
      await Promise.all(
        subjects.map(async (ids, subject) => {
          for (let n = 0; n < 20; n++) {
            const node = (subject + n) % 3
            const written = { ...event(), at: 1000 - node, id: `${3 - node}-${subject}-${n}` }
            await writeSlowly(nodes[node] as ChainingNode, [written], { wait: 0 })
            ids.push(written.id)
          }
        }),
      )
      await end()
      const chain = await idsOf(nodes[1])
      for (const ids of subjects) expect(chain.filter((id) => ids.includes(id))).toEqual(ids)
      expect((await examineChain(url)).fault).toBeUndefined()
    }))

  test('a reader who continues after a row gets the row of a transaction that began before it and commits later', () =>
    withNodes(async (nodes) => {
      const [late, early] = [event(), event()]
      const written = Promise.withResolvers<void>()
      const mayCommit = Promise.withResolvers<void>()
      const slow = nodes[0].engine.write(function* (tx) {
        yield* nodes[0].audit.writeEvents(tx, [late])
        written.resolve()
        yield mayCommit.promise
      })
      await written.promise
      await writeSlowly(nodes[1], [early], { wait: 0 })
      const after = await nodes[2].audit.placeOfAuditEvent(early.id)
      mayCommit.resolve()
      await slow
      const { rows } = await nodes[2].audit.listAuditEvents({}, { size: 10, after: after ?? [] }, 'oldest first')
      expect(rows.map(({ id }) => id)).toEqual([late.id])
    }))

  test('a service repeats an event before and after it is chained: it is there once, as it was written first', () =>
    withNodes(async ([one, other], url) => {
      const [first, second] = [event(), event()]
      await writeSlowly(one, [first, second, { ...first, type: 'test.repeated' }], { wait: 0 })
      await writeSlowly(other, [{ ...second, type: 'test.repeated' }], { wait: 0 })
      await one.audit.chainAudit()
      await writeSlowly(other, [{ ...first, type: 'test.repeated' }], { wait: 0 })
      await other.audit.addAuditEvent({ ...second, type: 'test.repeated' })
      const { rows } = await one.audit.listAuditEvents({}, { size: 10, page: 1 }, 'oldest first')
      expect(rows).toEqual([first, second])
      expect([await countUnchained(url), (await examineChain(url)).rows]).toEqual([0, 2])
    }))

  test('check 40: if no row of the audit can be written, nothing is changed', async () => {
    const config = await newDatabaseConfig()
    const store = await openAuthStore(config)
    const user = account()
    await store.syncAccount(user, NOW, event)
    await runStatements(
      adminUrl(config.databaseUrl),
      `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'No row'; END $$`,
      'CREATE TRIGGER refuse BEFORE INSERT ON auth.unchained_audit FOR EACH ROW EXECUTE FUNCTION refuse()',
    )
    const opened = session(user.userId)
    await expect(store.openSession(opened, event())).rejects.toThrow()
    expect(await store.sessionById(opened.id)).toBeNull()
    await store.close()
  })

  test('more rows than one batch takes are chained by one call', () =>
    withNodes(async ([node], url) => {
      const events = Array.from({ length: 2 * BATCH + 1 }, () => event())
      await writeSlowly(node, events, { wait: 0 })
      await node.audit.chainAudit()
      expect([await countUnchained(url), (await examineChain(url)).rows]).toEqual([0, events.length])
      expect(await idsOf(node)).toEqual(events.map(({ id }) => id))
    }))

  test('a reader does not wait for rows that are written after it asked, as many as they are', () =>
    withNodes(async ([{ audit, engine }], url) => {
      const fill = () =>
        runStatements(
          url,
          `INSERT INTO auth.unchained_audit (id, at, type, actor, detail)
           SELECT gen_random_uuid(), 0, 'test.event', 'anyone', '{}' FROM generate_series(1, ${BATCH})`,
        )
      await fill()
      await fill()
      const batches: (number | null)[] = []
      const chain = auditChaining({
        dialect: engine.dialect,
        get: (statement, values) => engine.get(statement, values),
        async writeInTurn(body) {
          const result = await engine.writeInTurn(body)
          batches.push(result as number | null)
          if (batches.length > 5) throw new Error('It never ends')
          await fill()
          return result
        },
      })
      await chain()
      expect(batches).toEqual([BATCH, 2 * BATCH])
      await audit.chainAudit()
      expect([await countUnchained(url), (await examineChain(url)).rows]).toEqual([0, 4 * BATCH])
    }))

  test('nodes of the previous version, which chain their rows themselves, write the same chain at the same time', () =>
    withNodes(async (nodes, url) => {
      const end = keepChaining(nodes.slice(0, 2))
      const events: AuditEvent[] = []
      // A repeated event reaches nodes of both versions.
      const repeated = event()
      const jobs = Array.from({ length: 120 }, (_, n) => async () => {
        const written = n % 10 < 2 ? repeated : event()
        events.push(written)
        const node = nodes[n % 3] as ChainingNode
        await (n % 2 ? writeAsFormerNode(node, [written]) : writeSlowly(node, [written], { wait: n % 4 }))
      })
      await eightAtOnce(jobs)
      await end()
      const ids = new Set(events.map(({ id }) => id))
      expect((await idsOf(nodes[2])).toSorted()).toEqual([...ids].toSorted())
      expect(await examineChain(url)).toMatchObject({ rows: ids.size })
      expect((await examineChain(url)).fault).toBeUndefined()
    }))

  test('a row that is removed before it is chained does not break the chain; one that is altered later does', () =>
    withNodes(async ([node], url) => {
      const events = [event(), event(), event()]
      await writeSlowly(node, events, { wait: 0 })
      await runStatements(url, `DELETE FROM auth.unchained_audit WHERE id = '${events[1]?.id}'`)
      await node.audit.chainAudit()
      expect((await examineChain(url)).fault).toBeUndefined()
      await runStatements(url, `UPDATE auth.audit SET type = 'x.y' WHERE seq = 1`)
      expect((await examineChain(url)).fault).toContain(`The chain breaks at the row ${events[2]?.id}`)
    }))

  test('nobody waits for a node that stands still while it chains', () =>
    withNodes(async ([frozen, node], url) => {
      await writeSlowly(node, [event()], { wait: 0 })
      const locked = Promise.withResolvers<void>()
      const mayEnd = Promise.withResolvers<void>()
      const standing = frozen.engine.writeInTurn(function* (tx) {
        yield* tx.get({
          text: { sqlite: '', postgres: "SELECT value FROM facts WHERE name = 'audit_head' FOR UPDATE" },
        })
        locked.resolve()
        yield mayEnd.promise
      })
      await locked.promise
      await writeSlowly(node, [event()], { wait: 0 })
      expect(await countUnchained(url)).toBe(2)
      mayEnd.resolve()
      await standing.catch(() => undefined)
      expect(await idsOf(node)).toHaveLength(2)
    }))
})
