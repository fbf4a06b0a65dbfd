import { expect, test } from 'bun:test'
import { userTotals } from './totals.ts'

function someTotals() {
  const database = { change: 1, counts: 0 }
  const totalOf = userTotals(async () => database.change)
  const total = (search: string, count = async () => ++database.counts) => totalOf({ search, sort: 'email' }, count)
  return { database, total }
}

test('a total is counted once per filter, until a user changes at any node', async () => {
  const { database, total } = someTotals()
  expect(await Promise.all([total('ana'), total('ANA'), total('bob')])).toEqual([1, 1, 2])
  expect(await total('ana')).toBe(1)
  database.change++
  expect(await total('ana')).toBe(3)
  expect(await total('ana')).toBe(3)
})

test('a change while a count runs makes the next request count again', async () => {
  const { database, total } = someTotals()
  const { promise, resolve } = Promise.withResolvers<number>()
  const first = total('ana', () => promise)
  await Bun.sleep(0)
  database.change++
  expect(await total('ana')).toBe(1)
  resolve(100)
  expect([await first, await total('ana')]).toEqual([100, 1])
})

test('a count that fails is repeated', async () => {
  const { total } = someTotals()
  await expect(total('ana', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await total('ana')).toBe(1)
})
