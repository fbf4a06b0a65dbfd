import { describe, expect, test } from 'bun:test'
import { HashQueue } from './hash-queue.ts'

/** Work that ends when it is told to, and the order in which it began. */
function workshop(turns: HashQueue) {
  const begun: string[] = []
  const ends = new Map<string, () => void>()
  const take = (name: string, long = false) =>
    turns.take(long, () => {
      begun.push(name)
      return new Promise<string>((resolve) => ends.set(name, () => resolve(name)))
    })
  const end = async (name: string) => {
    ends.get(name)?.()
    // The turn is handed over in a later turn of the loop.
    await Bun.sleep(0)
  }
  return { begun, end, take }
}

describe('work that takes long', () => {
  test.each([
    [1, 1],
    [2, 1],
    [3, 1],
    [8, 4],
  ])('of %d turns has %d, and what is quick the rest', async (cores, half) => {
    const { begun, end, take } = workshop(new HashQueue(cores, 100))
    const long = Array.from({ length: cores + 2 }, (_, i) => `long ${i}`)
    const all = long.map((name) => take(name, true))
    expect(begun).toEqual(long.slice(0, half))
    const quick = Array.from({ length: cores }, (_, i) => `quick ${i}`)
    all.push(...quick.map((name) => take(name)))
    expect(begun.slice(half)).toEqual(quick.slice(0, cores - half))
    for (let i = 0; i < all.length; i++) await end(begun[i] ?? '')
    expect(await Promise.all(all)).toEqual([...long, ...quick])
  })

  test('gives way to the quick at its end, and is not passed over for ever', async () => {
    const { begun, end, take } = workshop(new HashQueue(1, 100))
    const all = [take('long 0', true), take('long 1', true), take('quick 0'), take('quick 1'), take('long 2', true)]
    for (let i = 0; i < all.length; i++) await end(begun[i] ?? '')
    expect(begun).toEqual(['long 0', 'quick 0', 'long 1', 'quick 1', 'long 2'])
    await Promise.all(all)
  })

  test('has half of the line: the other half is free for the quick', async () => {
    const turns = new HashQueue(2, 4)
    const { begun, end, take } = workshop(turns)
    const refused: string[] = []
    const attempt = (name: string, long: boolean) =>
      take(name, long).catch(({ code }) => refused.push(`${name} ${code}`))
    const all = Array.from({ length: 4 }, (_, i) => attempt(`long ${i}`, true))
    all.push(...Array.from({ length: 4 }, (_, i) => attempt(`quick ${i}`, false)))
    await Bun.sleep(0)
    expect(refused).toEqual(['long 3 overloaded', 'quick 3 overloaded'])
    expect(turns.waiting).toBe(4)
    for (let i = 0; i < 6; i++) await end(begun[i] ?? '')
    await Promise.all(all)
    expect(turns.waiting).toBe(0)
  })
})

test('work that fails gives its turn back, of either kind', async () => {
  const turns = new HashQueue(1, 0)
  for (const long of [true, false, true])
    await expect(turns.take(long, () => Promise.reject(new Error('failed')))).rejects.toThrow('failed')
  expect(await turns.take(true, async () => 'done')).toBe('done')
})
