import { expect, test } from 'bun:test'
import { derivedId, newRunId } from './derived-id.ts'

test('ids of records are UUIDs v7, grow with the record, and differ from run to run', () => {
  const run = { startedAt: 1_795_258_540_216, random: '1f725a3948' }
  const numbers = [0, 1, 2, 3, 4, 5, 255, 256, 2 ** 18 - 1, 2 ** 18, 2 ** 20 - 1, 2 ** 20, 2 ** 31, 2 ** 32 - 1]
  const ids = numbers.map((number) => derivedId(run, number))
  for (const id of ids) expect(id).toMatch(/^01a1fdbf-60b8-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(ids.toSorted()).toEqual(ids)
  expect(new Set(ids).size).toBe(ids.length)
  expect(derivedId(run, 7)).toBe(derivedId(run, 7))
  expect(derivedId(newRunId(run.startedAt), 7)).not.toBe(derivedId(newRunId(run.startedAt), 7))
})
