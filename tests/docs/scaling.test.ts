import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { COSTS } from '../../bench/simulation/costs.ts'
import { quantile } from '../../bench/simulation/main.ts'
import { simulate } from '../../bench/simulation/model.ts'
import { text } from '../../db/engine.ts'
import { Postgres } from '../../db/postgres/engine.ts'
import { readDatabaseUrl } from '../../services/kit/process/database-url.ts'
import { sharedPostgres } from '../support/postgres/shared.ts'
import { ROOT } from '../support/tool.ts'

/** Compares what `docs/operate/scaling.md` says in figures with what a server sees of Ch202. */
const page = readFileSync(join(ROOT, 'docs/operate/scaling.md'), 'utf8')

test('the page names every option that an address may have', () => {
  const fault = String(readDatabaseUrl('postgres://h/d?other=1'))
  const names = fault.replace(/^.* no options but /, '').split(', ')
  expect(names).toContain('sslmode')
  const sentence = /The options are [^.]*\./.exec(page)?.[0] ?? ''
  expect([...sentence.matchAll(/`(\w+)`/g)].map(([, name]) => name ?? '').sort()).toEqual(names.sort())
})

test('the addresses of the page are accepted', () => {
  const addresses = page.match(/postgres:\/\/[^\s…"`]+/g) ?? []
  expect(addresses.length).toBeGreaterThan(1)
  for (const address of addresses) expect([address, typeof readDatabaseUrl(address)]).toEqual([address, 'object'])
})

test('the simulation gives the latencies of the page', () => {
  const row = /^\| 3 +\| (\d+) ms +\| (\d+) ms/m.exec(page)
  const measured = simulate({ nodes: 3, serverCores: 8, logouts: 20, costs: COSTS }, 60)
  expect(row?.slice(1).map(Number)).toEqual([0.5, 0.99].map((share) => Math.round(quantile(measured, share))))
})

describe('a connection', () => {
  let engine: Postgres
  beforeAll(async () => {
    const { server } = await sharedPostgres()
    engine = new Postgres({ url: await server.newDatabase(), schema: 'public', tables: new Set() })
  }, 120_000)
  afterAll(() => engine.close())

  const ROLE = /ALTER ROLE ch202 SET (\w+) = '(\d+)ms'/g
  test('has the time limits that the page gives to an account behind PgBouncer', async () => {
    const limits = [...page.matchAll(ROLE)].map(([, name = '', milliseconds]) => [name, Number(milliseconds)] as const)
    expect(limits.map(([name]) => name).sort()).toEqual(['idle_in_transaction_session_timeout', 'statement_timeout'])
    for (const [name, milliseconds] of limits) {
      const setting = await engine.get(
        text<{ ms: number }>(`SELECT CAST(setting AS integer) AS ms FROM pg_settings WHERE name = '${name}'`),
      )
      expect([name, setting?.ms]).toEqual([name, milliseconds])
    }
  })

  test('is one of as many as the page says', async () => {
    const most = /at most (\d+) for each service/.exec(page)?.[1]
    const busy = text('SELECT pg_sleep(0.2)')
    const count = text<{ connections: number }>(
      "SELECT count(*) AS connections FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'",
    )
    const running = Array.from({ length: 8 }, () => engine.all(busy))
    await Promise.all(running)
    expect((await engine.get(count))?.connections).toBe(Number(most))
  })
})
