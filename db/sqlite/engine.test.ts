import { afterAll, afterEach, beforeEach, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Sqlite, Transaction } from './engine.ts'
import { openDatabase } from './open-database.ts'

const directory = mkdtempSync(join(tmpdir(), 'ch202-engine-'))
afterAll(() => rmSync(directory, { recursive: true }))

let count = 0
let sqlite: Sqlite
beforeEach(() => {
  const sql = 'CREATE TABLE notes (text TEXT NOT NULL) STRICT'
  sqlite = openDatabase(join(directory, `${count++}.sqlite`), 'users', [{ name: '1', sql }])
})
afterEach(() => sqlite.close())

const insert = (tx: Transaction, text: string) =>
  tx.run(sqlite.raw.query<unknown, { text: string }>('INSERT INTO notes VALUES ($text)'), { text })
const texts = () => sqlite.raw.query<{ text: string }, []>('SELECT text FROM notes').all()

test('a transaction serves only until its job returns', async () => {
  const leaked = await sqlite.write((tx) => ({ tx }))
  expect(() => insert(leaked.tx, 'late')).toThrow('The transaction has ended')
  expect(() => leaked.tx.afterCommit(() => undefined)).toThrow('The transaction has ended')
  expect(texts()).toEqual([])
})

test('no other file can make a transaction', () => {
  // @ts-expect-error the type is exported, its class is not
  const forged: Transaction = { run: () => undefined, get: () => null, all: () => [], afterCommit: () => undefined }
  expect(forged).toBeObject()
})

test('listeners are called after the commit, before the caller is answered', async () => {
  const calls: string[] = []
  const write = sqlite.write((tx) => {
    insert(tx, 'one')
    tx.afterCommit(() => calls.push(`inTransaction: ${sqlite.raw.inTransaction}`))
    calls.push('job')
  })
  await write.then(() => calls.push('answered'))
  expect(calls).toEqual(['job', 'inTransaction: false', 'answered'])
})

test('listeners of a job that throws are not called, those of the others in its commit are', async () => {
  const calls: string[] = []
  const write = (text: string, fails: 'fails' | 'succeeds') =>
    sqlite.write((tx): void => {
      insert(tx, text)
      tx.afterCommit(() => calls.push(text))
      if (fails === 'fails') throw new Error('no')
    })
  await Promise.allSettled([write('one', 'succeeds'), write('two', 'fails'), write('three', 'succeeds')])
  await write('four', 'fails').catch(() => undefined)
  expect(calls).toEqual(['one', 'three'])
  expect(texts()).toEqual([{ text: 'one' }, { text: 'three' }])
})
