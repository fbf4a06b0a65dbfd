import { expect, test } from 'bun:test'
import { SLICE, SlicedCount } from './sliced-count.ts'

/** A table whose rows are all counted. */
class Table {
  reads: [after: string, limit: number][] = []
  fails = false
  constructor(public rows: number) {}

  readonly slice = async (after: string, limit: number) => {
    this.reads.push([after, limit])
    if (this.fails) throw new Error('The database is away')
    const before = after === '' ? 0 : Number(after)
    const seen = Math.min(limit, this.rows - before)
    return { count: seen, seen, last: seen === 0 ? null : String(before + seen) }
  }
}

const newCount = (table: Table) => {
  let now = 0
  const count = new SlicedCount({ monotonic: () => now }, table.slice)
  return { count, pass: (ms: number) => (now += ms) }
}

test('a small table is counted whenever someone asks', async () => {
  const table = new Table(3)
  const { count } = newCount(table)
  expect(await count.read()).toBe(3)
  table.rows = 5
  expect(await count.read()).toBe(5)
  expect(table.reads.length).toBe(2)
})

test('whoever asks waits for one slice of a large table, and gets the number of the last whole count', async () => {
  const table = new Table(3 * SLICE + 1)
  const { count } = newCount(table)
  expect(await count.read()).toBeUndefined()
  expect(table.reads.length).toBeLessThan(4)
  // Nobody begins another count meanwhile.
  expect(await count.read()).toBeUndefined()
  while ((await count.read()) === undefined) await Bun.sleep(1)
  expect(await count.read()).toBe(3 * SLICE + 1)
  expect(table.reads.slice(0, 4)).toEqual([
    ['', SLICE],
    [String(SLICE), SLICE],
    [String(2 * SLICE), SLICE],
    [String(3 * SLICE), SLICE],
  ])
})

test('a count of several slices is followed by a rest of twenty times as long', async () => {
  const table = new Table(SLICE + 1)
  let now = 0
  const count = new SlicedCount({ monotonic: () => now }, async (after, limit) => {
    now += 100
    return await table.slice(after, limit)
  })
  while ((await count.read()) === undefined) await Bun.sleep(1)
  table.rows = 2
  now = 200 + 20 * 200 - 1
  expect(await count.read()).toBe(SLICE + 1)
  now++
  expect(await count.read()).toBe(2)
})

test('while the database is away the number is unknown', async () => {
  const table = new Table(1)
  const { count } = newCount(table)
  expect(await count.read()).toBe(1)
  table.fails = true
  expect(await count.read()).toBeUndefined()
  table.fails = false
  expect(await count.read()).toBe(1)
})
