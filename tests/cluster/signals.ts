import { existsSync, readFileSync } from 'node:fs'

/** A process that runs, and those that it has started. @returns nothing for one that does not run */
export function processesOf(pid: number | undefined): number[] {
  if (!pid || !isAlive(pid)) return []
  return [pid, ...readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)]
}

export function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}`)
}

/** Sends a signal to a process, unless it has ended meanwhile. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as { code?: string }).code !== 'ESRCH') throw error
  }
}
