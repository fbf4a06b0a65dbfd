import { afterAll, afterEach, beforeEach, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Transaction, text } from '../engine.ts'
import type { Sqlite } from './engine.ts'
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

const INSERT = text('INSERT INTO notes VALUES ($text)')
const insert = (tx: Transaction, text: string) => tx.run(INSERT, { text })
const texts = () => sqlite.raw.query<{ text: string }, []>('SELECT text FROM notes').all()

test('a transaction serves only until its body returns', async () => {
  // biome-ignore lint/correctness/useYield: the body runs no statement
  const leaked = await sqlite.write(function* (tx) {
    return { tx }
  })
  await expect(sqlite.write(() => insert(leaked.tx, 'late'))).rejects.toThrow('The transaction has ended')
  expect(() => leaked.tx.afterCommit(() => undefined)).toThrow('The transaction has ended')
  expect(texts()).toEqual([])
})

test('an object with the methods of a transaction is not one', () => {
  // @ts-expect-error a transaction has private members
  const forged: Transaction = { run: () => undefined, get: () => null, all: () => [], afterCommit: () => undefined }
  expect(forged).toBeObject()
})

test('a body gets the rows of its statements, and the number of rows that it changed', async () => {
  const ALL = text<{ text: string }>('SELECT text FROM notes')
  const result = await sqlite.write(function* (tx) {
    const none = yield* tx.get(ALL)
    yield* insert(tx, 'one')
    yield* insert(tx, 'two')
    const changed = yield* tx.run(text("UPDATE notes SET text = text || '!'"))
    return { none, changed, first: yield* tx.get(ALL), all: yield* tx.all(ALL) }
  })
  expect(result).toEqual({
    none: undefined,
    changed: 2,
    first: { text: 'one!' },
    all: [{ text: 'one!' }, { text: 'two!' }],
  })
  expect(await sqlite.all(ALL)).toEqual(result.all)
  expect(await sqlite.get(ALL)).toEqual(result.first)
  expect(await sqlite.read((tx) => tx.all(ALL))).toEqual(result.all)
})

test('listeners are called after the commit, before the caller is answered', async () => {
  const calls: string[] = []
  const write = sqlite.write(function* (tx) {
    yield* insert(tx, 'one')
    tx.afterCommit(() => calls.push(`inTransaction: ${sqlite.raw.inTransaction}`))
    calls.push('body')
  })
  await write.then(() => calls.push('answered'))
  expect(calls).toEqual(['body', 'inTransaction: false', 'answered'])
})

test('listeners of a body that throws are not called, those of the others in its commit are', async () => {
  const calls: string[] = []
  const write = (text: string, fails: 'fails' | 'succeeds') =>
    sqlite.write(function* (tx) {
      yield* insert(tx, text)
      tx.afterCommit(() => calls.push(text))
      if (fails === 'fails') throw new Error('no')
    })
  await Promise.allSettled([write('one', 'succeeds'), write('two', 'fails'), write('three', 'succeeds')])
  await write('four', 'fails').catch(() => undefined)
  expect(calls).toEqual(['one', 'three'])
  expect(texts()).toEqual([{ text: 'one' }, { text: 'three' }])
})
