import { expect, test } from 'bun:test'
import { hashingThreads, threads } from '../../../tests/support/threads.ts'
import { PasswordHasher } from './hasher.ts'

test.if(process.platform === 'linux')(
  'threads that hash have a low priority, and those of the whole process have not',
  async () => {
    const before = new Set(threads().map(({ id }) => id))
    const hasher = new PasswordHasher({ passwordHash: 'bcrypt', bcryptCost: 4, hashQueue: 100 }, undefined, 2)
    await Promise.all(Array.from({ length: 100 }, () => hasher.hash('correct horse battery')))
    const hashing = hashingThreads()
    expect(hashing.filter((id) => !before.has(id))).toHaveLength(2)

    // Starts the threads of the pool and of the collector.
    await Bun.file(import.meta.path).text()
    Bun.gc(true)
    const [first] = threads()
    // The threads that collect for one thread only, and those that compile, start and end by themselves.
    const shared = threads().filter(({ name }) => /^(Bun Pool|HeapHelper)/.test(name))
    expect(shared.length).toBeGreaterThan(1)
    expect(shared.filter(({ nice }) => nice !== first?.nice)).toEqual([])
  },
)
