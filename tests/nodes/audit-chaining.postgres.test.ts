import { afterEach, beforeEach, expect, test } from 'bun:test'
import { openAuthStore } from '../../db/auth/store.ts'
import { AuditChaining } from '../../services/auth/audit/chaining.ts'
import type { AuthStore } from '../../services/auth/store/index.ts'
import { type Log, silentLog } from '../../services/kit/log.ts'
import { event } from '../stores/auth-suite.ts'
import { examineChain } from '../stores/chaining-node.ts'
import { eventually } from '../support/eventually.ts'
import { newDatabaseConfig, runStatements, sharedPostgres } from '../support/postgres/shared.ts'
import { type TestNode, testNode } from './cluster.ts'

// Nodes that write to the audit, of which one at a time chains the rows of all. Nothing reads the audit.

interface Node extends TestNode<AuthStore> {
  opened: AuthStore
  chaining: AuditChaining
  /** How often it chained. */
  count: number
}

const { adminUrl } = await sharedPostgres()
let config: Awaited<ReturnType<typeof newDatabaseConfig>>
let all: Node[] = []

async function openNode(log: Log = silentLog, fails = () => false): Promise<Node> {
  const opened = await openAuthStore(config)
  const node = { ...(await testNode(`node ${all.length}`, opened)), opened, count: 0 } as Node
  const store = {
    async chainAudit() {
      node.count++
      if (fails()) throw new Error('The database is away')
      await node.store.chainAudit()
    },
  }
  node.chaining = new AuditChaining({ store, nodes: node.nodes, log })
  await node.nodes.start()
  node.chaining.start()
  all.push(node)
  return node
}

async function countUnchained(): Promise<number> {
  const [row] = await runStatements(adminUrl(config.databaseUrl), 'SELECT count(*) AS n FROM auth.unchained_audit')
  return (row as { n: number }).n
}

/** Opens two nodes, of which the first chains: the second one starts after that. */
async function openTwoNodes(): Promise<[chains: Node, waits: Node]> {
  const first = await openNode()
  await eventually(() => first.count > 0)
  return [first, await openNode()]
}

beforeEach(async () => {
  config = await newDatabaseConfig()
})
afterEach(async () => {
  for (const node of all) node.thaw()
  await Promise.all(all.map(({ chaining }) => chaining.stop()))
  await Promise.all(all.map(({ nodes }) => nodes.stop()))
  for (const { opened } of all) await opened.close()
  all = []
})

test('one node chains the rows of all, also of one that was killed; another one does when it freezes', async () => {
  const [first, second] = await openTwoNodes()
  // A node that was killed after its commit.
  const killed = await openAuthStore(config)
  await killed.addAuditEvent(event())
  await killed.close()
  await second.opened.addAuditEvent(event())
  await eventually(async () => (await countUnchained()) === 0)
  expect(second.count).toBe(0)
  first.freeze()
  await second.opened.addAuditEvent(event())
  await eventually(async () => (await countUnchained()) === 0)
  expect(second.count).toBeGreaterThan(0)
  const chain = await examineChain(adminUrl(config.databaseUrl))
  expect([chain.rows, chain.fault]).toEqual([3, undefined])
})

test('a node that stops leaves no row unchained, although another one had the work', async () => {
  const [first, second] = await openTwoNodes()
  first.freeze()
  await second.opened.addAuditEvent(event())
  await second.chaining.stop()
  expect(await countUnchained()).toBe(0)
})

test('while rows cannot be chained, that is logged once, and it goes on afterwards', async () => {
  const logged: unknown[] = []
  let isAway = true
  const node = await openNode({ ...silentLog, error: (line) => logged.push(line) }, () => isAway)
  await eventually(() => node.count > 3)
  expect(logged).toEqual([{ event: 'audit.not_chained', err: expect.any(Error) }])
  await node.opened.addAuditEvent(event())
  isAway = false
  await eventually(async () => (await countUnchained()) === 0)
  expect(logged).toHaveLength(1)
})
