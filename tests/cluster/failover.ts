import { expect } from 'bun:test'
import { eventually } from '../support/eventually.ts'
import type { Cluster } from './cluster.ts'
import type { Load } from './load.ts'
import { DATABASE, type PostgresPair } from './postgres-pair.ts'
import type { Rebuild, ReplicatedServer } from './replicated-postgres.ts'

/** Acknowledged writes before a primary is lost, and after it. */
const WRITES = 60
/** Finds that no node uses a server. A connection whose commit waits for a standby is not closed before the server is. */
const UNUSED = `SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity
  WHERE application_name LIKE 'ch202 %' AND wait_event IS DISTINCT FROM 'SyncRep')`

interface Running {
  load: Load
  system: Cluster
}

interface Loss {
  /** Loses the primary. Resolves at the latest when another one is chosen. */
  lose(): Promise<unknown>
  /** Lets what was lost return, when clients write again. */
  restore?(): Promise<unknown>
}

/**
 * Loses the primary while clients write, and checks that no promise is broken.
 * @returns the longest time in which no write was acknowledged. Milliseconds
 */
export async function losePrimary({ load, system }: Running, { lose, restore }: Loss): Promise<number> {
  const pids = system.all().map(({ pid }) => pid)
  const more = async () => {
    const before = load.counts.writes
    await eventually(() => load.counts.writes > before + WRITES)
  }
  let pause: number
  load.start()
  try {
    await more()
    const lostAt = performance.now()
    await lose()
    await more()
    pause = load.pauseSince(lostAt)
    await restore?.()
    await more()
  } finally {
    await load.stop()
  }
  await load.compare()
  expect({ ...load.faults, pids: system.all().map(({ pid }) => pid) }).toEqual({
    wrong: [],
    accepted: [],
    refused: [],
    lost: [],
    pids,
  })
  return pause
}

interface Way {
  lose(primary: ReplicatedServer): Promise<unknown>
  /** Closes or leaves the connections that nodes have open. */
  open: 'close' | 'leave'
  /** Lets the old primary continue, beside the new one; absent if it does not run. */
  restore?(old: ReplicatedServer): void
}

/** Ways in which the primary of a pair is lost or replaced, before its standby is promoted. */
export const WAYS = {
  'is killed': { lose: (primary) => primary.kill(), open: 'close' },
  'freezes, and returns as a second primary': {
    lose: async (primary) => primary.freeze(),
    open: 'leave',
    restore: (old) => old.thaw(),
  },
  'loses its standby, and keeps its clients': { lose: async () => undefined, open: 'leave', restore: () => undefined },
  'is made read-only, and keeps its clients': {
    lose(primary) {
      const readOnly = 'ALTER SYSTEM SET default_transaction_read_only = on'
      return primary.run('postgres', readOnly, 'SELECT pg_reload_conf()')
    },
    open: 'leave',
    restore: () => undefined,
  },
} satisfies Record<string, Way>

export type WayName = keyof typeof WAYS

/** Loses the primary of a pair, promotes its standby, and makes the old primary the next standby. @returns as `losePrimary` */
export async function failOver(
  { pair, ...running }: Running & { pair: PostgresPair },
  name: WayName,
  how: Rebuild,
): Promise<number> {
  const { lose, open, restore }: Way = WAYS[name]
  const old = pair.primary
  let isWritten = Promise.resolve(false)
  try {
    return await losePrimary(running, {
      async lose() {
        running.load.mayBeStale = open === 'leave'
        await lose(old)
        await pair.promote()
        pair.entry.leadTo(pair.primary.port, open)
      },
      async restore() {
        if (!restore) return
        restore(old)
        isWritten = old.run(DATABASE, 'CREATE TABLE public.lost ()').then(
          () => true,
          () => false,
        )
        await old.until(UNUSED)
      },
    })
  } finally {
    await pair.rebuild(how)
    expect(await isWritten).toBe(false)
  }
}
