import { expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { PasswordHasher } from './hasher.ts'

/** The names of the threads and their nice values (proc_pid_stat(5), field 19). */
function priorities(): [name: string, nice: number][] {
  return readdirSync('/proc/self/task').map((thread) => {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8')
    const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))
    return [name, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])]
  })
}

test.if(process.platform === 'linux')(
  'threads that hash have a lower priority than the thread that answers requests',
  async () => {
    const hasher = new PasswordHasher({ passwordHash: 'bcrypt', bcryptCost: 4, hashQueue: 8 })
    await Promise.all(Array.from({ length: 6 }, () => hasher.hash('correct horse battery')))
    const pool = priorities().filter(([name]) => name.startsWith('Bun Pool'))
    expect(pool.length).toBeGreaterThan(0)
    expect(pool.filter(([, nice]) => nice !== 15)).toEqual([])
    const [main] = priorities()
    expect(main?.[1]).toBe(0)
  },
)
