import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { SQL } from 'bun'
import { version } from '../../package.json'
import { SERVICE_NAMES, SERVICES_WITH_DATABASE } from '../../services/registry.ts'
import { startPostgres } from '../support/postgres/server.ts'
import { type ProcessSystem, processes } from '../support/processes.ts'
import { freePort } from '../support/servers/ports.ts'
import { openShell } from '../support/shell.ts'
import { ownSettings, temporary } from '../support/tool.ts'

// What `ch202 ps` and `ch202 doctor` say of the nodes that share a database.

setDefaultTimeout(180_000)

const server = await startPostgres()
const folder = temporary('postgres-nodes')
const shell = openShell('postgres-nodes')
afterAll(async () => {
  await server.stop()
  shell.close()
  folder.remove()
})

interface Item {
  id: string
  status: string
  message: string
  suggestion: string | null
}

/** The commands on a database, from a machine without a service. */
function onDatabase(url: string, more: Record<string, string> = {}) {
  const env = ownSettings(folder.fresh(), { ...more, DATABASE_URL: url })
  const run = (words: string) => shell.run(`ch202 ${words}`, { env })
  return {
    run,
    async items(words: string) {
      const { status, stdout } = await run(`${words} -o json`)
      return { status, items: JSON.parse(stdout).items as Record<string, unknown>[] }
    },
    /** The results of the checks of nodes, by their ids. */
    async checks(only = 'nodes') {
      const { status, stdout } = await run(`doctor --only ${only} -o json`)
      const items = JSON.parse(stdout).items as Item[]
      return { status, of: Object.fromEntries(items.map((item) => [item.id, item])) as Record<string, Item> }
    },
    async screen(words: string, cols: number) {
      const { PATH: _, ...settings } = env
      return (await shell.inTerminal(`ch202 ${words}`, { cols, env: settings }).ended).screen.split('\n')
    },
  }
}

describe('a list of nodes as an operator may find it', () => {
  const NOW = 'CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)'
  const HERE = `${hostname()}:1`
  let url: string
  let tool: ReturnType<typeof onDatabase>

  /** A row. @param renewed milliseconds from now @param ahead by how many its clock is ahead */
  const row = (name: string, { process = HERE, address = '', of = version, renewed = 3_600_000, ahead = 0 }) =>
    `('${name}', 7, '${process}', '${address}', '${of}', ${NOW} - 7200000, ${NOW} + ${renewed}, ${NOW} + ${renewed} + ${ahead})`
  const insert = (service: string, ...rows: string[]) =>
    server.run(
      new URL(url).pathname.slice(1),
      `INSERT INTO ${service}.nodes (name, renewals, process, address, version, since, renewed_at, clock) VALUES ${rows}`,
    )

  beforeAll(async () => {
    url = await server.newDatabase()
    tool = onDatabase(url)
    expect((await tool.run('migrate')).status).toBe(0)
  })

  test('without a node: ps says so, and doctor skips the checks', async () => {
    const { status, stderr, stdout } = await tool.run('ps')
    expect([status, stdout, stderr]).toEqual([0, '', expect.stringContaining('No service is running')])
    const { of, status: exit } = await tool.checks()
    expect([exit, Object.values(of).map((item) => [item.status, item.message])]).toEqual([
      0,
      Object.keys(of).map(() => ['skipped', 'No node runs on the database']),
    ])
  })

  describe('with nodes on two machines, of which', () => {
    beforeAll(async () => {
      const elsewhere = { process: 'another-machine:1', address: 'http://127.0.0.1:9' }
      await insert('auth', row('a/01', elsewhere), row('b/02', { renewed: -60_000 }))
      await insert('users', row('a/03', { address: `http://127.0.0.1:${freePort()}`, ahead: 5000, of: '0.0.9' }))
      await insert('modules', row('c/04', { renewed: -7_200_000 }))
      await server.run(
        new URL(url).pathname.slice(1),
        "INSERT INTO auth.leases VALUES ('tidy', 'gone/05'), ('rotation', 'a/01')",
      )
    })

    test('some renew their rows, ps shows the state of each, and whether it answers', async () => {
      const { items, status } = await tool.items('ps')
      expect(status).toBe(0)
      expect(items.map(({ node, reachable, service, state }) => [service, node, state, reachable])).toEqual([
        // It listens on the loopback of another machine.
        ['auth', 'a', 'up', null],
        ['auth', 'b', 'dead', null],
        ['users', 'a', 'silent', false],
        ['modules', 'c', 'dead', null],
      ])
      expect(items[2]).toMatchObject({ version: '0.0.9', clock_ahead_ms: 5000, pid: null })
      const ago = (time: unknown) => Math.round((Date.now() - Date.parse(String(time))) / 60_000)
      expect([ago(items[1]?.renewed_at), ago(items[1]?.started_at)]).toEqual([1, 120])
      const { stderr } = await tool.run('ps')
      expect(stderr).toContain('Ended unexpectedly: auth of b, modules of c\n→ ch202 start')
      expect(stderr).toContain('Running but not responding: users of a\n')
    })

    test('ps fits a terminal of 60 columns', async () => {
      const lines = await tool.screen('ps', 60)
      expect(lines[0]).toMatch(/^NODE +SERVICE +STATE +REACHABLE +RENEWED/)
      expect(lines[2]).toMatch(/^b +auth +dead +1m ago/)
      expect(lines[3]).toMatch(/^a +users +silent +false +\d+s ago/)
      for (const line of lines) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(60)
    })

    test('some do not, and have other versions and clocks, doctor says what to do', async () => {
      const { of, status } = await tool.checks()
      expect(status).toBe(10)
      expect(of['nodes.alive']).toEqual({
        id: 'nodes.alive',
        status: 'warning',
        message:
          'Nodes must renew their rows: auth of b has not for 1m, modules of c has not for 2h. No other node of the service runs',
        suggestion: 'ch202 start',
      })
      expect(of['nodes.ready']).toMatchObject({
        status: 'failed',
        message: expect.stringMatching(/^users of a \(http:.*\): nothing is listening there$/),
      })
      expect(of['nodes.versions']).toMatchObject({
        status: 'warning',
        message: `Nodes have different versions (0.0.9: users of a; ${version}: auth of a, auth of b, modules of c)`,
      })
      expect(of['nodes.work']).toMatchObject({
        status: 'warning',
        message: 'No node that runs has tidy of auth',
      })
      expect(of['nodes.clocks']).toMatchObject({
        status: 'warning',
        message: 'The clock of users of a is 5.0 s ahead of that of auth of a',
        suggestion: 'timedatectl',
      })
    })
  })
})

describe('two machines with every service', () => {
  let url: string
  const machines: ProcessSystem[] = []
  let tool: ReturnType<typeof onDatabase>

  beforeAll(async () => {
    url = await server.newDatabase()
    const clock = join(folder.path, 'clock.ts')
    writeFileSync(clock, 'const { now } = Date\nDate.now = () => now() + 3000\n')
    machines.push(await processes('apart', { DATABASE_URL: url, NODE_NAME: 'node-a' }))
    machines.push(await processes('together', { DATABASE_URL: url, NODE_NAME: 'node-b' }, { preload: clock }))
    tool = onDatabase(url, { CH202_DATA_DIR: machines[0]?.dataDir ?? '' })
  })
  afterAll(() => Promise.all(machines.map((machine) => machine.stop())))

  test('ps lists each node of each service, with the process of those of this machine', async () => {
    const { items } = await tool.items('ps')
    const row = ({ node, reachable, service, state }: (typeof items)[number]) => [service, node, state, reachable]
    const listed = items.filter(({ node }) => ['node-a', 'node-b'].includes(String(node)))
    expect(listed.map(row)).toEqual(
      SERVICES_WITH_DATABASE.flatMap((service) => ['node-a', 'node-b'].map((node) => [service, node, 'up', true])),
    )
    // A service without a database is in no list: of those, only the processes of this machine are known.
    const others = SERVICE_NAMES.filter((service) => !SERVICES_WITH_DATABASE.includes(service))
    expect(items.filter((item) => !listed.includes(item)).map(row)).toEqual(
      others.map((service) => [service, expect.stringMatching(/:\d+$/), 'up', null]),
    )
    for (const item of listed) {
      const isHere = item.node === 'node-a'
      const address = machines[isHere ? 0 : 1]?.url[item.service as 'auth']
      expect(item).toMatchObject({ address, version, pid: isHere ? expect.any(Number) : null })
      expect(item.rss_mb === null).toBe(!isHere)
      expect(Date.parse(String(item.renewed_at))).toBeGreaterThan(Date.now() - 60_000)
    }
  })

  test('doctor finds every node ready, and shows by how much the clocks differ', async () => {
    const { of, status } = await tool.checks()
    expect(Object.fromEntries(Object.values(of).map((item) => [item.id, item.status]))).toEqual({
      'nodes.alive': 'ok',
      'nodes.ready': 'ok',
      'nodes.versions': 'ok',
      'nodes.work': 'ok',
      'nodes.clocks': 'warning',
    })
    expect(status).toBe(0)
    // The time that a renewal takes to reach the database counts as a difference.
    const { message = '' } = of['nodes.clocks'] ?? {}
    const [, seconds] = /^The clock of \w+ of node-b is ([\d.]+) s ahead of that of \w+ of node-a$/.exec(message) ?? []
    expect(Number(seconds)).toBeGreaterThan(1.2)
    expect(Number(seconds)).toBeLessThan(4.8)
  })

  test('ps also lists a process that is connected, but not in the list', async () => {
    const sql = new SQL({ url: `${url}?application_name=ch202%20old-node`, max: 1 })
    try {
      await sql.unsafe('SELECT 1')
      const { items } = await tool.items('ps')
      // The nodes of both machines, the processes of this one without a database, and that connection.
      expect(items).toHaveLength(SERVICE_NAMES.length + SERVICES_WITH_DATABASE.length + 1)
      expect(items.at(-1)).toMatchObject({ node: 'old-node', service: null, state: 'connected', address: '127.0.0.1' })
    } finally {
      await sql.close()
    }
  })
})
