import { Database } from 'bun:sqlite'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Body, type RowCache, type Transaction, text } from '../engine.ts'
import type { Sqlite } from './engine.ts'
import { openDatabase } from './open-database.ts'

const directory = mkdtempSync(join(tmpdir(), 'ch202-rows-'))
afterAll(() => rmSync(directory, { recursive: true }))

const SCHEMA = { name: '0001', sql: 'CREATE TABLE notes (id TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT' }
const BY_ID = text<{ text: string }>('SELECT text FROM notes WHERE id = $id')
const UPDATE = text("UPDATE notes SET text = $text WHERE id = 'a'")
/** Milliseconds: longer than a snapshot. */
const BEYOND_SNAPSHOT = 20

describe('cached rows', () => {
  let count = 0
  let path: string
  let sqlite: Sqlite
  let reads: string[]
  let notes: RowCache<{ text: string }>

  beforeEach(() => {
    path = join(directory, `${count++}.sqlite`)
    sqlite = openDatabase(path, 'users', [SCHEMA])
    reads = []
    notes = sqlite.rowCache(function* (tx, id) {
      reads.push(id)
      return (yield* tx.get(BY_ID, { id })) ?? null
    })
    sqlite.raw.run("INSERT INTO notes VALUES ('a', 'first'), ('b', 'second')")
  })
  afterEach(() => sqlite.close())

  function* change(tx: Transaction, text: string): Body<void> {
    yield* tx.run(UPDATE, { text })
    notes.forget(tx, 'a')
  }

  test('are read once; a missing row is not cached', async () => {
    const rows = []
    for (const id of ['a', 'a', 'b', 'c', 'c']) rows.push(await notes.get(id))
    expect(rows).toEqual([{ text: 'first' }, { text: 'first' }, { text: 'second' }, null, null])
    expect(reads).toEqual(['a', 'b', 'c', 'c'])
  })

  test('are read once by many who read at the same time', async () => {
    await Promise.all(Array.from({ length: 10 }, () => notes.get('a')))
    expect(reads).toEqual(['a'])
  })

  test('cannot be changed by a reader', async () => {
    const note = await notes.get('a')
    expect(() => Object.assign(note as object, { text: 'changed' })).toThrow(TypeError)
  })

  test('show a write of this process at once', async () => {
    await notes.get('a')
    for (const text of ['one', 'two', 'three']) {
      await sqlite.write((tx) => change(tx, text))
      expect(await notes.get('a')).toEqual({ text })
    }
  })

  test.each(['alone', 'with another'])('show the old row when a write is rolled back %s', async (company) => {
    await notes.get('a')
    const write = sqlite.write(function* (tx) {
      yield* change(tx, 'never')
      throw new Error('no')
    })
    const other = company === 'alone' ? undefined : sqlite.write((tx) => tx.run(UPDATE, { text: 'other' }))
    await expect(write).rejects.toThrow('no')
    await other
    expect(await notes.get('a')).toEqual({ text: company === 'alone' ? 'first' : 'other' })
  })

  test('show a write of another process after the snapshot ends', async () => {
    const other = new Database(path)
    try {
      await notes.get('b')
      for (const text of ['one', 'two', 'three']) {
        expect((await notes.get('a'))?.text).not.toBe(text)
        other.query("UPDATE notes SET text = ? WHERE id = 'a'").run(text)
        await Bun.sleep(BEYOND_SNAPSHOT)
        expect(await notes.get('a')).toEqual({ text })
      }
    } finally {
      other.close()
    }
  })

  test('do not block another process that needs the file for itself', async () => {
    const other = new Database(path)
    try {
      other.run('PRAGMA busy_timeout = 1000')
      await notes.get('a')
      const checkpoint = Promise.withResolvers<void>()
      setTimeout(() => {
        other.run('PRAGMA wal_checkpoint(TRUNCATE)')
        checkpoint.resolve()
      }, BEYOND_SNAPSHOT)
      await checkpoint.promise
      expect(other.query('PRAGMA wal_checkpoint(TRUNCATE)').get()).toMatchObject({ busy: 0 })
    } finally {
      other.close()
    }
  })

  test('are bounded: the oldest are dropped first', async () => {
    const insert = sqlite.raw.query("INSERT INTO notes VALUES (?, 'one of many')")
    sqlite.raw.transaction(() => {
      for (let n = 0; n < 5000; n++) insert.run(`n${n}`)
    })()
    for (let n = 0; n < 5000; n++) await notes.get(`n${n}`)
    reads = []
    await notes.get('n4999')
    await notes.get('n0')
    expect(reads).toEqual(['n0'])
  })
})
