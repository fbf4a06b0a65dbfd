import { afterAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { and, asc, eq, gte, lt, sql } from 'drizzle-orm'
import { built, type Engine, type Transaction, text } from '../../db/engine.ts'
import { type DatabaseDefinition, openStore } from '../../db/open.ts'
import { placeholders } from '../../db/placeholders.ts'
import { usersMigrations as postgres } from '../../db/postgres/migrations/users.ts'
import * as schema from '../../db/schema/users.ts'
import { counters } from '../../db/schema/users.ts'
import { usersMigrations as sqlite } from '../../db/sqlite/migrations/users.ts'
import { startPostgresProxy } from '../support/postgres/proxy.ts'
import { newDatabaseConfig, postgresTraits } from '../support/postgres/shared.ts'

// Bodies that run together in one transaction, and calls that share one.

const DEFINITION: DatabaseDefinition = { name: 'users', schema, sqlite, postgres }
const openEngine = (config: Parameters<typeof openStore>[0]) =>
  openStore(config, DEFINITION, (engine) => ({ engine, close: () => engine.close() }))

const byName = eq(counters.name, sql.placeholder('name'))
const VALUE = built((db) => db.select().from(counters).where(byName))
const PUT = built((db) => db.insert(counters).values(placeholders(counters)))
const ALL = text<{ name: string; value: number }>('SELECT name, value FROM counters ORDER BY name')
const ADD = text('UPDATE counters SET value = value + $more WHERE name = $name')
const FROM = built((db) =>
  db
    .select()
    .from(counters)
    .where(and(gte(counters.name, sql.placeholder('from')), lt(counters.name, sql.placeholder('before'))))
    .orderBy(asc(counters.name)),
)

const config = await newDatabaseConfig()
/** Times that the node has sent something to the server, and so waited for an answer. */
let turns = 0
const proxy = await startPostgresProxy(Number(new URL(config.databaseUrl).port), {
  atBytes: () => {
    turns++
  },
})
const dataDir = mkdtempSync(join(tmpdir(), 'ch202-together-'))
const onPostgres = await openEngine({ ...config, databaseUrl: proxy.addressOf(config.databaseUrl) })
const onSqlite = await openEngine({ dataDir })
afterAll(async () => {
  for (const store of [onPostgres, onSqlite]) await store.close()
  proxy.stop()
  rmSync(dataDir, { recursive: true })
})

/** Raises a counter in three steps. @returns the value before */
function* raise(tx: Transaction, name: string, more: number) {
  const before = yield* tx.get(VALUE, { name })
  yield* tx.run(ADD, { name, more })
  const after = yield* tx.get(VALUE, { name })
  return [before?.value, after?.value]
}

describe.each([
  ['SQLite', onSqlite.engine],
  ['PostgreSQL', onPostgres.engine],
] as [string, Engine][])('on %s, bodies that run together', (_, engine) => {
  const add = (...names: string[]) =>
    engine.write((tx) =>
      tx.runEach(
        PUT,
        names.map((name, value) => ({ name, value })),
      ),
    )

  test('give the result of each, in the order of the list', async () => {
    await add('a', 'b', 'c')
    const results = await engine.write((tx) =>
      tx.together([raise(tx, 'a', 10), tx.all(ALL), raise(tx, 'b', 10), tx.run(ADD, { name: 'none', more: 1 })]),
    )
    const [a, all, b, none] = results
    expect([a, b, none]).toEqual([[0, 10], [1, 11], 0])
    expect(all.map(({ name }) => name)).toContain('c')
    expect(
      await engine.write(function* (tx) {
        return yield* tx.together([])
      }),
    ).toEqual([])
  })

  test('run their first statements in the order of the list, also those that were never run before', async () => {
    await add('ordered')
    const first = text("UPDATE counters SET value = 5 WHERE name = 'ordered'")
    const second = text('UPDATE counters SET value = value * 3 WHERE name = $name')
    const third = text<{ value: number }>("SELECT value FROM counters WHERE name = 'ordered'")
    for (let round = 0; round < 8; round++) {
      const [, , rows] = await engine.write((tx) =>
        tx.together([tx.run(first), tx.run(second, { name: 'ordered' }), tx.all(third)]),
      )
      expect(rows).toEqual([{ value: 15 }])
    }
  })

  test('fail with the first error, and none of their rows are stored', async () => {
    await add('kept')
    const failing = engine.write((tx) =>
      tx.together([
        raise(tx, 'kept', 1),
        (function* () {
          yield* tx.get(VALUE, { name: 'kept' })
          throw new Error('not allowed')
        })(),
      ]),
    )
    await expect(failing).rejects.toThrow('not allowed')
    // The server refuses the statements behind the one that fails, also those of other bodies.
    const violating = engine.write((tx) =>
      tx.together([
        raise(tx, 'kept', 1),
        tx.together([raise(tx, 'kept', 1), tx.run(PUT, { name: 'kept', value: null }), tx.all(ALL)]),
        tx.all(ALL),
      ]),
    )
    await expect(violating).rejects.toThrow(/23502|NOTNULL/)
    expect(await engine.get(VALUE, { name: 'kept' })).toEqual({ name: 'kept', value: 0 })
  })

  test('read the rows for each of many values', async () => {
    await add('each 0', 'each 1', 'each 2')
    const ranges = [
      { from: 'each 1', before: 'each 9' },
      { from: 'each', before: 'each 0' },
      { from: 'each 0', before: 'each 2' },
    ]
    const lists = await engine.write((tx) => tx.allEach(FROM, ranges))
    expect(lists.map((rows) => rows.map(({ name }) => name))).toEqual([['each 1', 'each 2'], [], ['each 0', 'each 1']])
    expect(await engine.write((tx) => tx.allEach(FROM, []))).toEqual([])
  })

  test('calls that share one of their keys run one after another, in their order', async () => {
    const groups: string[][] = []
    const write = engine.grouped(
      function* (tx, calls: readonly string[]) {
        yield* tx.all(ALL)
        if (groups.at(-1)?.join() !== calls.join()) groups.push([...calls])
        return calls.map((call) => call.toUpperCase())
      },
      (call) => call.split(' '),
    )
    const results = await Promise.all(['a x', 'b', 'c x', 'c d', 'e'].map((call) => write(call)))
    expect(results).toEqual(['A X', 'B', 'C X', 'C D', 'E'])
    const order = groups.flat()
    expect(order.toSorted()).toEqual(['a x', 'b', 'c d', 'c x', 'e'])
    for (const group of groups)
      expect(new Set(group.flatMap((call) => call.split(' '))).size).toBe(group.join(' ').split(/[ ,]/).length)
    expect(order.indexOf('a x')).toBeLessThan(order.indexOf('c x'))
    expect(order.indexOf('c x')).toBeLessThan(order.indexOf('c d'))
  })
})

test('PostgreSQL gets the statements of bodies that run together at once', async () => {
  const names = Array.from({ length: 20 }, (_, n) => `at once ${n}`)
  const read = () =>
    onPostgres.engine.read((tx) => tx.together([tx.all(ALL), ...names.map((name) => tx.get(VALUE, { name }))]))
  // Each connection prepares the statements when it first runs them.
  for (let n = 0; n < 8; n++) await read()
  const before = turns
  await read()
  // The transaction begins, all is read, and it ends. Without prepared statements, the driver sends one after another.
  expect(turns - before).toBe(postgresTraits().has('pooler') ? 23 : 3)
})
