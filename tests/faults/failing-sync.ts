import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../support/eventually.ts'
import { launch, type Running } from '../support/tool.ts'

/** A process whose fsync a test can make fail or slow. */
export interface Syncing {
  launch(words: string[], env: Record<string, string>): Running
  fail(): Promise<void>
  /** Delays each fsync by so many milliseconds. */
  slow(ms: number): Promise<void>
  /** Restores the normal fsync. */
  well(): Promise<void>
}

/** Uses strace, which replaces the kernel's answer. @returns undefined if strace is not available */
export async function straced(): Promise<Syncing | undefined> {
  if (!Bun.which('strace')) return undefined
  const asleep = launch(['sleep', '30'])
  const tried = await attach(asleep.pid, 'delay_enter=1').catch(() => undefined)
  await tried?.()
  asleep.signal('SIGKILL')
  if (!tried) return undefined

  let pid = 0
  let detach: (() => Promise<void>) | undefined
  const well = async () => {
    await detach?.()
    detach = undefined
  }
  return {
    launch(words, env) {
      const running = launch([process.execPath, 'cli/main.ts', ...words], { env })
      pid = running.pid
      return running
    },
    async fail() {
      detach = await attach(pid, 'error=EIO')
    },
    async slow(ms) {
      detach = await attach(pid, `delay_enter=${ms * 1000}`)
    },
    well,
  }
}

/** @returns a function that ends strace. @throws if a process may not trace another */
async function attach(pid: number, fault: string): Promise<() => Promise<void>> {
  const calls = 'fsync,fdatasync'
  const tracer = launch(['strace', '-f', '-p', String(pid), '-e', `trace=${calls}`, '-e', `inject=${calls}:${fault}`])
  await Promise.race([
    eventually(() => / attached/.test(tracer.stderr()) || undefined),
    tracer.ended.then(({ stderr }) => Promise.reject(new Error(stderr))),
  ])
  return async () => {
    tracer.signal('SIGINT')
    await tracer.ended
  }
}

/** Uses a module in the process that intercepts commits. @param directory of the file that controls them */
export function preloaded(directory: string): Syncing {
  const file = join(directory, 'commits')
  return {
    launch: (words, env) =>
      launch([process.execPath, '--preload', join(import.meta.dir, 'commits.ts'), 'cli/main.ts', ...words], {
        env: { ...env, COMMITS: file },
      }),
    fail: async () => writeFileSync(file, 'fail'),
    slow: async (ms) => writeFileSync(file, String(ms)),
    well: async () => rmSync(file),
  }
}
