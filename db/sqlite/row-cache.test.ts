import { Database } from 'bun:sqlite'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Sqlite, Transaction } from './engine.ts'
import { openDatabase } from './open-database.ts'
import { RowCache } from './row-cache.ts'

const directory = mkdtempSync(join(tmpdir(), 'ch202-rows-'))
afterAll(() => rmSync(directory, { recursive: true }))

const SCHEMA = { name: '0001', sql: 'CREATE TABLE notes (id TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT' }
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
    const byId = sqlite.raw.query<{ text: string }, [string]>('SELECT text FROM notes WHERE id = ?')
    notes = new RowCache(sqlite, (id) => {
      reads.push(id)
      return byId.get(id)
    })
    sqlite.raw.run("INSERT INTO notes VALUES ('a', 'first'), ('b', 'second')")
  })
  afterEach(() => sqlite.close())

  const change = (tx: Transaction, text: string) => {
    tx.run(sqlite.raw.query<unknown, { text: string }>("UPDATE notes SET text = $text WHERE id = 'a'"), { text })
    notes.forget(tx, 'a')
  }

  test('are read once; a missing row is not cached', () => {
    expect([notes.get('a'), notes.get('a'), notes.get('b'), notes.get('c'), notes.get('c')]).toEqual([
      { text: 'first' },
      { text: 'first' },
      { text: 'second' },
      null,
      null,
    ])
    expect(reads).toEqual(['a', 'b', 'c', 'c'])
  })

  test('cannot be changed by a reader', () => {
    const note = notes.get('a')
    expect(() => Object.assign(note as object, { text: 'changed' })).toThrow(TypeError)
  })

  test('show a write of this process at once', async () => {
    notes.get('a')
    for (const text of ['one', 'two', 'three']) {
      await sqlite.write((tx) => change(tx, text))
      expect(notes.get('a')).toEqual({ text })
    }
  })

  test('show the old row when a write is rolled back', async () => {
    notes.get('a')
    const write = sqlite.write((tx): void => {
      change(tx, 'never')
      throw new Error('no')
    })
    const beside = sqlite.write(() => undefined)
    await expect(write).rejects.toThrow('no')
    await beside
    expect(notes.get('a')).toEqual({ text: 'first' })
  })

  test('show the new row within a write, and the old row when the write is rolled back', async () => {
    notes.get('b')
    const write = sqlite.write((tx): void => {
      change(tx, 'never')
      expect(notes.get('a')).toEqual({ text: 'never' })
      throw new Error('no')
    })
    await expect(write).rejects.toThrow('no')
    expect(notes.get('a')).toEqual({ text: 'first' })
  })

  test('show a write of another process after the snapshot ends', async () => {
    const other = new Database(path)
    try {
      notes.get('b')
      for (const text of ['one', 'two', 'three']) {
        expect(notes.get('a')?.text).not.toBe(text)
        other.query("UPDATE notes SET text = ? WHERE id = 'a'").run(text)
        await Bun.sleep(BEYOND_SNAPSHOT)
        expect(notes.get('a')).toEqual({ text })
      }
    } finally {
      other.close()
    }
  })

  test('do not block another process that needs the file for itself', async () => {
    const other = new Database(path)
    try {
      other.run('PRAGMA busy_timeout = 1000')
      notes.get('a')
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
    await sqlite.write(() => {
      const insert = sqlite.raw.query("INSERT INTO notes VALUES (?, 'one of many')")
      for (let n = 0; n < 5000; n++) insert.run(`n${n}`)
    })
    for (let n = 0; n < 5000; n++) notes.get(`n${n}`)
    reads = []
    notes.get('n4999')
    notes.get('n0')
    expect(reads).toEqual(['n0'])
  })
})
