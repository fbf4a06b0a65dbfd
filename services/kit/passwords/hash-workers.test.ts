import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { eventually } from '../../../tests/support/eventually.ts'
import { hashingThreads } from '../../../tests/support/threads.ts'
import type { Log, LogFields } from '../log.ts'
import type { HashJob } from './hash-job.ts'
import { HashWorkers } from './hash-workers.ts'
import { PasswordHasher } from './hasher.ts'

const PASSWORD = 'correct horse battery'
const CHEAP = { passwordHash: 'bcrypt', bcryptCost: 4, hashQueue: 128 } as const
const FAILING = join(import.meta.dir, '../../../tests/fixtures/failing-hash-worker.ts')
/** Milliseconds. Far more than a hash takes, even on a busy machine. */
const PATIENCE = 60_000
/** Milliseconds. */
const IMPATIENCE = 50

const hashOf = (password: string): HashJob => ({
  kind: 'hash',
  password,
  parameters: { algorithm: 'bcrypt', cost: 4 },
})

describe('a thread that fails', () => {
  test.each(['ends', 'throws', 'rejects'])('answers its hash with an error, and is replaced: %s', async (way) => {
    const lines: LogFields[] = []
    const log: Log = { debug() {}, info() {}, warn() {}, error: (fields) => lines.push(fields) }
    const hasher = new PasswordHasher(CHEAP, log, 2, new HashWorkers({ program: FAILING }))
    const hash = await hasher.hash(PASSWORD)
    for (let round = 0; round < 3; round++) {
      const [answer, other] = await Promise.allSettled([
        hasher.verify(`${way} ${PASSWORD}`, hash),
        hasher.hash('other'),
      ])
      expect(answer).toMatchObject({ reason: { code: 'overloaded', status: 503, retryAfter: expect.any(Number) } })
      expect(other.status).toBe('fulfilled')
      expect(await hasher.verify(PASSWORD, hash)).toEqual({ rehash: false })
    }
    expect(lines).toEqual(Array(3).fill({ event: 'hash.worker_failed', code: 'worker_ended' }))
    expect(hasher.waiting).toBe(0)
  })

  test('does not fail the decoys after the one that it failed', async () => {
    const workers = new HashWorkers({ program: FAILING })
    const hasher = new PasswordHasher(CHEAP, undefined, 1, workers)
    const [decoy, other] = [hasher.verifyDecoy(`ends ${PASSWORD}`), hasher.verifyDecoy(PASSWORD)]
    await expect(decoy).rejects.toMatchObject({ code: 'overloaded' })
    expect(await other).toBeUndefined()
    expect(await hasher.verifyDecoy(PASSWORD)).toBeUndefined()
  })

  test.each(['sleeps', 'loops'])('is given up after a time, and replaced: %s', async (way) => {
    const workers = new HashWorkers({ program: FAILING })
    for (let round = 0; round < 3; round++) {
      await expect(workers.run(hashOf(way), IMPATIENCE)).rejects.toMatchObject({ code: 'worker_hangs' })
      expect(await workers.run(hashOf(PASSWORD), PATIENCE)).toStartWith('$2b$04$')
    }
  })

  test('whose program is missing answers with an error', async () => {
    const hasher = new PasswordHasher(CHEAP, undefined, 2, new HashWorkers({ program: join(FAILING, 'none.ts') }))
    for (let round = 0; round < 2; round++)
      await expect(hasher.hash(PASSWORD)).rejects.toMatchObject({ code: 'overloaded' })
  })

  test('a hash that Bun refuses fails alone', async () => {
    const workers = new HashWorkers()
    const answers = await Promise.allSettled([workers.run(hashOf(''), PATIENCE), workers.run(hashOf('a'), PATIENCE)])
    expect(answers.map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
    expect(await workers.run(hashOf(PASSWORD), PATIENCE)).toStartWith('$2b$04$')
  })
})

describe.if(process.platform === 'linux')('threads', () => {
  const counting = () => {
    const before = new Set(hashingThreads())
    return () => hashingThreads().filter((thread) => !before.has(thread)).length
  }

  test('start with the first hash, one for each core at most', async () => {
    const newThreads = counting()
    const hasher = new PasswordHasher(CHEAP, undefined, 3)
    expect(newThreads()).toBe(0)
    await hasher.hash(PASSWORD)
    expect(newThreads()).toBe(1)
    for (let round = 0; round < 2; round++) {
      await Promise.all(Array.from({ length: 40 }, () => hasher.hash(PASSWORD)))
      expect(newThreads()).toBe(3)
    }
  })

  test('end after a time without a hash, and start again', async () => {
    const newThreads = counting()
    const hasher = new PasswordHasher(CHEAP, undefined, 3, new HashWorkers({ idleTime: 100 }))
    for (let round = 0; round < 2; round++) {
      const hashes = await Promise.all(Array.from({ length: 20 }, () => hasher.hash(PASSWORD)))
      expect(new Set(hashes).size).toBe(20)
      await eventually(() => newThreads() === 0)
    }
  })
})
