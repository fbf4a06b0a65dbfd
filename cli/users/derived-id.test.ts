import { expect, test } from 'bun:test'
import { isKnownHash } from '../../services/kit/hasher.ts'
import { derivedId, newRun } from './derived-id.ts'
import { unusableHash } from './unusable-hash.ts'

test('ids of records are UUIDs v7, grow with the record, and differ from run to run', () => {
  const run = { startedAt: 1_795_258_540_216, random: '1f725a3948' }
  const numbers = [0, 1, 2, 3, 4, 5, 255, 256, 2 ** 18 - 1, 2 ** 18, 2 ** 20 - 1, 2 ** 20, 2 ** 31, 2 ** 32 - 1]
  const ids = numbers.map((number) => derivedId(run, number))
  for (const id of ids) expect(id).toMatch(/^01a1fdbf-60b8-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(ids.toSorted()).toEqual(ids)
  expect(new Set(ids).size).toBe(ids.length)
  expect(derivedId(run, 7)).toBe(derivedId(run, 7))
  expect(derivedId(newRun(run.startedAt), 7)).not.toBe(derivedId(newRun(run.startedAt), 7))
})

test('a hash that no password has is a bcrypt hash like any other', async () => {
  const hashes = Array.from({ length: 2000 }, unusableHash)
  expect(new Set(hashes).size).toBe(hashes.length)
  for (const hash of hashes) {
    expect(isKnownHash(hash)).toBe(true)
    // In the one way that bcrypt writes them.
    expect(hash).toMatch(/^\$2b\$10\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]$/)
  }
  const startedAt = performance.now()
  expect(await Bun.password.verify('correct horse battery', hashes[0] as string)).toBe(false)
  // It was checked, at its price: a login tells no one that there is no password.
  expect(performance.now() - startedAt).toBeGreaterThan(10)
})
