import { afterAll, beforeAll, setDefaultTimeout, test } from 'bun:test'
import { eventually } from '../support/eventually.ts'
import { type Cluster, cluster } from './cluster.ts'
import { losePrimary } from './failover.ts'
import { Load } from './load.ts'
import { type PatroniCluster, startPatroni } from './patroni.ts'

// Three machines with the configuration of docs/operate/high-availability.md.

setDefaultTimeout(600_000)

let servers: PatroniCluster
let system: Cluster
let load: Load
beforeAll(async () => {
  servers = await startPatroni()
  // Longer than the outages take on a busy machine.
  const env = { RATE_LIMIT: 'off', LOG_LEVEL: 'silent', REVOCATION_MAX_LAG: '5m', REFRESH_REUSE_GRACE: '5m' }
  // A busy machine may need several attempts: a node that gets no answer in time does not start.
  system = await eventually(() => cluster(env, { database: servers.database }).catch(() => undefined))
  load = await Load.of(system)
})
afterAll(async () => {
  await system?.stop()
  await servers?.stop()
})

/** Loses the primary as `lose` does. What `lose` gives lets it return. */
async function measure(name: string, lose: () => Promise<(() => void) | undefined>): Promise<void> {
  await servers.settle()
  let restore: (() => void) | undefined
  const restoreOnce = () => {
    restore?.()
    restore = undefined
  }
  const pause = await losePrimary(
    { load, system },
    {
      async lose() {
        restore = await lose()
      },
      async restore() {
        restoreOnce()
        await servers.settle()
      },
    },
  ).finally(restoreOnce)
  const { checks, logouts, unavailable, writes } = load.counts
  console.log(`without a write, ${name}: ${(pause / 1000).toFixed(1)} s`)
  console.log(
    `figures: ${writes} acknowledged writes, ${load.faults.lost.length} lost, ${logouts} logouts, ${checks} checks, ` +
      `${load.faults.accepted.length} accepted, ${unavailable} answers 503`,
  )
  load.counts = { writes: 0, unavailable: 0, logouts: 0, checks: 0, cutOff: 0 }
}

const killMachine = async () => {
  const machine = await servers.leader()
  await machine.kill()
  return () => machine.start()
}

test('PostgreSQL of the primary is killed', () =>
  measure('PostgreSQL killed', async () => {
    ;(await servers.leader()).killPostgres()
    return undefined
  }))

test('a planned switchover', () =>
  measure('switchover', async () => {
    await servers.switchOver()
    return undefined
  }))

test('the machine of the primary is killed', () => measure('machine killed, ttl 20', killMachine))

test('the machine of the primary freezes, and returns', () =>
  measure('machine frozen, ttl 20', async () => {
    const machine = await servers.leader()
    machine.freeze()
    return () => machine.thaw()
  }))

test('the machine of the primary is killed, with a short ttl', async () => {
  await servers.configure({ ttl: 5, loop_wait: 1, retry_timeout: 2 })
  await measure('machine killed, ttl 5', killMachine)
})
