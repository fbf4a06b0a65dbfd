import { expect, test } from 'bun:test'
import { Transaction } from '../engine.ts'
import { userTotals } from './totals.ts'

const none = { get: () => undefined, all: () => [], run: () => 0, getEach: () => [], runEach: () => undefined }

function totalsWith(dialect: 'sqlite' | 'postgres') {
  const clock = { now: 0 }
  let counts = 0
  const totals = userTotals({ dialect }, () => clock.now)
  const total = (search: string, count = async () => ++counts) => totals.of({ search, sort: 'email' }, count)
  /** Ends a transaction that changed a user. */
  const change = (outcome: 'committed' | 'rolled back') => {
    const tx = new Transaction(none)
    totals.changed(tx)
    const listeners = tx.end()
    if (outcome === 'committed') for (const listener of listeners) listener()
  }
  return { clock, total, change }
}

test('a total is counted once per filter, until a user changes', async () => {
  const { clock, total, change } = totalsWith('sqlite')
  expect(await Promise.all([total('ana'), total('ANA'), total('bob')])).toEqual([1, 1, 2])
  clock.now += 1e9
  change('rolled back')
  expect(await total('ana')).toBe(1)
  change('committed')
  expect(await total('ana')).toBe(3)
})

test('a total is counted again after three seconds when other nodes may change users', async () => {
  const { clock, total, change } = totalsWith('postgres')
  expect(await total('ana')).toBe(1)
  clock.now += 2999
  expect(await total('ana')).toBe(1)
  clock.now += 1
  expect(await total('ana')).toBe(2)
  change('committed')
  expect(await total('ana')).toBe(3)
})

test('a count that fails is repeated', async () => {
  const { total } = totalsWith('sqlite')
  await expect(total('ana', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await total('ana')).toBe(1)
})
