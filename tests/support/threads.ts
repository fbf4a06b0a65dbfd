import { readdirSync, readFileSync } from 'node:fs'

/** The nice value of a thread that hashes. */
const HASHING_NICE = 15

/** A thread of this process. */
interface Thread {
  id: number
  name: string
  nice: number
}

/** The threads of this process, the first one first. By `/proc`: only on Linux. */
export function threads(): Thread[] {
  return readdirSync('/proc/self/task').flatMap((id) => {
    try {
      const stat = readFileSync(`/proc/self/task/${id}/stat`, 'utf8')
      const afterName = stat.lastIndexOf(')')
      // proc_pid_stat(5), field 19.
      const nice = Number(stat.slice(afterName + 2).split(' ')[16])
      return [{ id: Number(id), name: stat.slice(stat.indexOf('(') + 1, afterName), nice }]
    } catch {
      // The thread has ended meanwhile.
      return []
    }
  })
}

/** The ids of the threads of this process that hash. */
export function hashingThreads(): number[] {
  return threads()
    .filter(({ name, nice }) => name === 'Worker' && nice === HASHING_NICE)
    .map(({ id }) => id)
}
