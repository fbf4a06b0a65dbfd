import { afterAll, beforeAll, describe, setDefaultTimeout, test } from 'bun:test'
import { sliced } from '../support/whole.ts'
import { type Cluster, cluster } from './cluster.ts'
import { failOver, WAYS, type WayName } from './failover.ts'
import { Load } from './load.ts'
import { type PostgresPair, startPostgresPair } from './postgres-pair.ts'

setDefaultTimeout(300_000)

describe('three nodes of each service lose nothing and need no restart when the primary', () => {
  let pair: PostgresPair
  let system: Cluster
  let load: Load
  beforeAll(async () => {
    pair = await startPostgresPair()
    system = await cluster({ RATE_LIMIT: 'off', LOG_LEVEL: 'warn' }, { database: pair.database })
    load = await Load.of(system)
  })
  afterAll(async () => {
    await system?.stop()
    await pair?.stop()
  })

  test.each(sliced(Object.keys(WAYS) as WayName[], 4))('%s', async (way) => {
    const pause = await failOver({ load, pair, system }, way, 'rewind')
    console.log(`${way}: ${pause.toFixed(0)} ms without a write, ${JSON.stringify(load.counts)}`)
  })
})
