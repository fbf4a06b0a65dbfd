import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseUnavailable } from '../services/kit/database-unavailable.ts'
import { InternalError } from '../services/kit/log.ts'
import { text } from './engine.ts'
import { type DatabaseDefinition, openStore } from './open.ts'
import { usersMigrations as postgres } from './postgres/migrations/users.ts'
import * as schema from './schema/users.ts'
import { Sqlite } from './sqlite/engine.ts'
import { usersMigrations as sqlite } from './sqlite/migrations/users.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'ch202-open-'))
afterAll(() => rmSync(dataDir, { recursive: true }))

const DEFINITION: DatabaseDefinition = { name: 'users', schema, sqlite, postgres }
const VIOLATION = text('INSERT INTO counters VALUES (NULL, 1)')

const failingStore = () =>
  openStore({ dataDir }, DEFINITION, (engine) => ({
    epoch: 'one',
    count: () => 7,
    fail: (code: string, way: 'read' | 'write' = 'write') =>
      // biome-ignore lint/correctness/useYield: it fails before it reads anything
      engine[way](function* () {
        throw Object.assign(new Error('disk I/O error'), { code })
      }),
    violate: () => engine.write((tx) => tx.run(VIOLATION)),
    close: () => engine.close(),
  }))

test.each(['SQLITE_BUSY', 'SQLITE_IOERR_FSYNC', 'SQLITE_FULL', 'SQLITE_CORRUPT', 'SQLITE_READONLY'])(
  'a store reports %s as an unavailable database, with its code for the log',
  async (code) => {
    const store = await failingStore()
    for (const way of ['read', 'write'] as const) {
      const error = await store.fail(code, way).catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(DatabaseUnavailable)
      expect(error).toMatchObject({ code, message: 'disk I/O error' })
    }
    await store.close()
  },
)

test('a store reports any other error of SQLite as an internal one', async () => {
  const store = await failingStore()
  const error = await store.violate().catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(InternalError)
  expect(String(error)).toContain('SQLITE_CONSTRAINT_NOTNULL')
  await store.close()
})

test('a store leaves other errors, values and synchronous methods as they are', async () => {
  const store = await failingStore()
  expect([store.epoch, store.count()]).toEqual(['one', 7])
  const error = await store.fail('ENOENT').catch((reason: unknown) => reason)
  expect(error).not.toBeInstanceOf(DatabaseUnavailable)
  expect(error).toMatchObject({ code: 'ENOENT' })
  await store.close()
})

test('a database is closed again when its store cannot be made', async () => {
  let file: Sqlite | undefined
  const opening = openStore({ dataDir }, DEFINITION, (engine) => {
    if (engine instanceof Sqlite) file = engine
    throw new Error('no store')
  })
  await expect(opening).rejects.toThrow('no store')
  expect(file).toBeDefined()
  expect(() => file?.raw.query('SELECT 1')).toThrow()
})
