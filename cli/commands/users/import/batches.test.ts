import { expect, test } from 'bun:test'
import { batches } from './batches.ts'
import { newRunId } from './derived-id.ts'
import type { ImportLine, ImportRecord } from './record/record.ts'

async function* records(number: number, user: (n: number) => ImportLine): AsyncGenerator<ImportRecord> {
  for (let n = 0; n < number; n++)
    yield n % 1000 === 999 ? { place: n + 1, fault: 'no' } : { place: n + 1, user: user(n) }
}
const run = newRunId(0)
const cutOf = async (number: number, user: (n: number) => ImportLine, from = 0, cut = 0) =>
  (await Array.fromAsync(batches(records(number, user), run, from, cut))).map(({ until, lines, faults, bytes }) => {
    expect(lines.reduce((sum, { text }) => sum + Buffer.byteLength(text) + 1, 0)).toBe(bytes)
    expect(bytes).toBeLessThanOrEqual(1024 * 1024)
    return [until, lines.length, faults.length]
  })

test('records go in batches that can be sent, none twice and none left out', async () => {
  const small = (n: number) => ({ email: `${n}@x` })
  expect(await cutOf(5001, small)).toEqual([
    [4004, 4000, 4],
    [5001, 996, 1],
  ])
  expect(await cutOf(0, small)).toEqual([])
  expect(await cutOf(300, (n) => ({ ...small(n), password: 'x' }))).toEqual([
    [200, 200, 0],
    [300, 100, 0],
  ])
  const large = (n: number) => ({ email: `${n}`, name: 'é'.repeat(n === 1 ? 600_000 : 200_000) })
  expect(await cutOf(6, large)).toEqual([
    [1, 1, 0],
    [4, 2, 1],
    [6, 2, 0],
  ])
})

test('what may have been sent is never in one batch with what was not', async () => {
  const small = (n: number) => ({ email: `${n}@x` })
  expect(await cutOf(100, small, 10, 30)).toEqual([
    [30, 20, 0],
    [100, 70, 0],
  ])
  expect(await cutOf(100, small, 100, 100)).toEqual([])
})

test('the same record has the same id, wherever one begins', async () => {
  const user = (n: number) => (n === 3 ? { id: '0198C7A2-7F3E-7C21-8D5B-000000000003' } : {})
  const ids = async (from: number) =>
    (await Array.fromAsync(batches(records(9, user), run, from, from))).flatMap(({ lines }) =>
      lines.map(({ id }) => id),
    )
  const all = await ids(0)
  expect(all[3]).toBe('0198c7a2-7f3e-7c21-8d5b-000000000003')
  expect(await ids(5)).toEqual(all.slice(5))
})
