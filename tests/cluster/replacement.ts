import { afterAll } from 'bun:test'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMovingClock } from '../support/moving-clock.ts'
import { useDatabases } from '../support/postgres/system-database.ts'
import { type InProcessOptions, replaceInProcess, type System } from '../support/system.ts'
import { cluster } from './cluster.ts'

/** Starts a cluster in place of each system that tests of this file ask for. */
export function useCluster(): void {
  useDatabases('postgres')
  replaceInProcess(clusterWith)
  afterAll(() => {
    replaceInProcess(undefined)
    useDatabases('sqlite')
  })
}

const preload = join(import.meta.dir, 'patient-node.ts')

/** @param clock a clock that all nodes have, and that the test moves */
async function clusterWith(
  env: Record<string, string>,
  { clock, ...options }: Pick<InProcessOptions, 'clock' | 'settingsOf'>,
): Promise<System> {
  if (!clock) return await cluster(env, { ...options, preload })
  if (!isMovingClock(clock)) throw new Error('A clock of one process that is not `movingClock`')
  const directory = mkdtempSync(join(tmpdir(), 'ch202-clock-'))
  const file = join(directory, 'ahead')
  clock.follow((ahead) => {
    // Renamed: a node that reads meanwhile must not get an empty text.
    writeFileSync(`${file}.new`, String(ahead))
    renameSync(`${file}.new`, file)
  })
  const system = await cluster({ ...env, CH202_TEST_CLOCK: file }, { ...options, preload })
  return {
    ...system,
    async stop() {
      await system.stop()
      rmSync(directory, { recursive: true })
    },
  }
}
