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

describe('rows in memory', () => {
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

  test('are read once, and none for a key that has none', () => {
    expect([notes.get('a'), notes.get('a'), notes.get('b'), notes.get('c'), notes.get('c')]).toEqual([
      { text: 'first' },
      { text: 'first' },
      { text: 'second' },
      null,
      null,
    ])
    expect(reads).toEqual(['a', 'b', 'c', 'c'])
  })

  test('are not for the one who asks to change', () => {
    const note = notes.get('a')
    expect(() => Object.assign(note as object, { text: 'changed' })).toThrow(TypeError)
  })

  test('are what was written here, at once', async () => {
    notes.get('a')
    for (const text of ['one', 'two', 'three']) {
      await sqlite.write((tx) => change(tx, text))
      expect(notes.get('a')).toEqual({ text })
    }
  })

  test('are what was there before, when a change is undone', async () => {
    notes.get('a')
    const undone = sqlite.write((tx): void => {
      change(tx, 'never')
      throw new Error('no')
    })
    const beside = sqlite.write(() => undefined)
    await expect(undone).rejects.toThrow('no')
    await beside
    expect(notes.get('a')).toEqual({ text: 'first' })
  })

  test('are within a change what it has written, and nothing of that is kept when it is undone', async () => {
    notes.get('b')
    const undone = sqlite.write((tx): void => {
      change(tx, 'never')
      expect(notes.get('a')).toEqual({ text: 'never' })
      throw new Error('no')
    })
    await expect(undone).rejects.toThrow('no')
    expect(notes.get('a')).toEqual({ text: 'first' })
  })

  test('are what another process wrote, a moment later', async () => {
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

  test('do not hold up another process that wants the file to itself', async () => {
    const other = new Database(path)
    try {
      other.run('PRAGMA busy_timeout = 1000')
      notes.get('a')
      const done = Promise.withResolvers<void>()
      setTimeout(() => {
        other.run('PRAGMA wal_checkpoint(TRUNCATE)')
        done.resolve()
      }, BEYOND_SNAPSHOT)
      await done.promise
      expect(other.query('PRAGMA wal_checkpoint(TRUNCATE)').get()).toMatchObject({ busy: 0 })
    } finally {
      other.close()
    }
  })

  test('are bounded: those that were read first are forgotten first', async () => {
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
