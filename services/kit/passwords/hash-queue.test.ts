import { describe, expect, test } from 'bun:test'
import { HashQueue, type HashSpeed } from './hash-queue.ts'

/** Jobs that end when `end` is called with their name, and the order in which they started. */
function jobsOn(queue: HashQueue) {
  const started: string[] = []
  const ends = new Map<string, () => void>()
  const run = (name: string, speed: HashSpeed = 'fast') =>
    queue.run(speed, () => {
      started.push(name)
      return new Promise<string>((resolve) => ends.set(name, () => resolve(name)))
    })
  const end = async (name: string) => {
    ends.get(name)?.()
    // The next job starts in a later turn of the event loop.
    await Bun.sleep(0)
  }
  return { started, end, run }
}

describe('slow jobs', () => {
  test.each([
    [1, 1],
    [2, 1],
    [3, 1],
    [8, 4],
  ])('on %d cores use %d, and fast jobs use the rest', async (cores, half) => {
    const { end, run, started } = jobsOn(new HashQueue(cores, 100))
    const slow = Array.from({ length: cores + 2 }, (_, i) => `slow ${i}`)
    const all = slow.map((name) => run(name, 'slow'))
    expect(started).toEqual(slow.slice(0, half))
    const fast = Array.from({ length: cores }, (_, i) => `fast ${i}`)
    all.push(...fast.map((name) => run(name)))
    expect(started.slice(half)).toEqual(fast.slice(0, cores - half))
    for (let i = 0; i < all.length; i++) await end(started[i] ?? '')
    expect(await Promise.all(all)).toEqual([...slow, ...fast])
  })

  test('let a fast job go first when they end, and still get their turn', async () => {
    const { end, run, started } = jobsOn(new HashQueue(1, 100))
    const all = [run('slow 0', 'slow'), run('slow 1', 'slow'), run('fast 0'), run('fast 1'), run('slow 2', 'slow')]
    for (let i = 0; i < all.length; i++) await end(started[i] ?? '')
    expect(started).toEqual(['slow 0', 'fast 0', 'slow 1', 'fast 1', 'slow 2'])
    await Promise.all(all)
  })

  test('fill at most half of the queue and leave the other half to fast jobs', async () => {
    const queue = new HashQueue(2, 4)
    const { end, run, started } = jobsOn(queue)
    const refused: string[] = []
    const attempt = (name: string, speed: HashSpeed) =>
      run(name, speed).catch(({ code }) => refused.push(`${name} ${code}`))
    const all = Array.from({ length: 4 }, (_, i) => attempt(`slow ${i}`, 'slow'))
    all.push(...Array.from({ length: 4 }, (_, i) => attempt(`fast ${i}`, 'fast')))
    await Bun.sleep(0)
    expect(refused).toEqual(['slow 3 overloaded', 'fast 3 overloaded'])
    expect(queue.waiting).toBe(4)
    for (let i = 0; i < 6; i++) await end(started[i] ?? '')
    await Promise.all(all)
    expect(queue.waiting).toBe(0)
  })
})

test('a job that fails frees its core, whether slow or fast', async () => {
  const queue = new HashQueue(1, 0)
  for (const speed of ['slow', 'fast', 'slow'] as const)
    await expect(queue.run(speed, () => Promise.reject(new Error('failed')))).rejects.toThrow('failed')
  expect(await queue.run('slow', async () => 'done')).toBe('done')
})
