import { afterAll, beforeAll, setDefaultTimeout, test } from 'bun:test'
import { type Cluster, cluster } from './cluster.ts'
import { percentiles } from './every-node.ts'
import { failOver, WAYS, type WayName } from './failover.ts'
import { Load } from './load.ts'
import { type PostgresPair, startPostgresPair } from './postgres-pair.ts'

const FAILOVERS = Number(process.env.SOAK_FAILOVERS ?? 20)

setDefaultTimeout(3_600_000)

let pair: PostgresPair
let system: Cluster
beforeAll(async () => {
  pair = await startPostgresPair()
  system = await cluster({ RATE_LIMIT: 'off', LOG_LEVEL: 'silent' }, { database: pair.database })
})
afterAll(async () => {
  await system?.stop()
  await pair?.stop()
})

test(`two servers that take turns as the primary, ${FAILOVERS} times`, async () => {
  const load = await Load.of(system)
  const ways = Object.keys(WAYS) as WayName[]
  const pauses = new Map(ways.map((way) => [way, [] as number[]]))
  for (let round = 0; round < FAILOVERS; round++) {
    const way = ways[round % ways.length] ?? 'is killed'
    // Each way meets both.
    const how = Math.floor(round / ways.length) % 2 === 0 ? 'rewind' : 'copy'
    pauses.get(way)?.push(await failOver({ load, pair, system }, way, how))
  }
  for (const [way, times] of pauses) console.log(`without a write, the primary ${way}: ${percentiles(times)}`)
  const { checks, logouts, unavailable, writes } = load.counts
  const { accepted, lost } = load.faults
  console.log(
    `figures: ${FAILOVERS} failovers, ${writes} acknowledged writes, ${lost.length} lost, ${logouts} logouts, ` +
      `${checks} checks, ${accepted.length} accepted, ${unavailable} answers 503`,
  )
})
