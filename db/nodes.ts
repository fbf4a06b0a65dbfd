import type { NodeDescription, NodeStore, NodesSeen } from '../services/kit/nodes/nodes.ts'
import { type Body, type Engine, type Transaction, text, type Values } from './engine.ts'
import { BATCH, writeInBatches } from './write-in-batches.ts'

/** Makes a statement for PostgreSQL alone: one process uses a file. */
function shared<Row = never>(postgres: string) {
  return text<Row>({ sqlite: '', postgres })
}

interface Seen {
  kind: 'node' | 'lease'
  name: string
  renewals: number
  owner: string
}

/** The clock of the database, in milliseconds since the epoch. */
const NOW = 'CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)'

const statements = {
  register: shared(`
    INSERT INTO nodes (name, renewals, process, address, version, since, renewed_at, clock)
    VALUES ($node, 0, $process, $address, $version, ${NOW}, ${NOW}, $clock)`),
  /** One statement, for it runs several times a second. The row of the node itself is read as it was before. */
  renew: shared<Seen & { isRegistered: boolean }>(`
    WITH renewed AS (
      UPDATE nodes SET renewals = renewals + 1, renewed_at = ${NOW}, clock = $clock WHERE name = $node RETURNING 1)
    SELECT 'node' AS kind, name, renewals, '' AS owner, (SELECT count(*) FROM renewed) > 0 AS "isRegistered" FROM nodes
    UNION ALL SELECT 'lease', name, 0, owner, false FROM leases`),
  remove: shared<{ name: string }>('DELETE FROM nodes WHERE name = $name AND renewals = $renewals RETURNING name'),
  leave: shared('DELETE FROM nodes WHERE name = $node'),
  claim: shared<{ name: string }>(`
    INSERT INTO leases (name, owner)
    SELECT name, $node FROM jsonb_array_elements_text(CAST($names AS text)::jsonb) AS list (name)
    ON CONFLICT (name) DO UPDATE SET owner = EXCLUDED.owner
      WHERE leases.owner = EXCLUDED.owner OR leases.owner NOT IN (SELECT name FROM nodes)
    RETURNING name`),
  release: shared('DELETE FROM leases WHERE name = $name AND owner = $node'),
  releaseAll: shared('DELETE FROM leases WHERE owner = $node'),
  /** Locks the lease, so that no other node takes it before the transaction ends. */
  holds: shared<{ name: string }>('SELECT name FROM leases WHERE name = $name AND owner = $node FOR SHARE'),
}

/** The column, of tables on PostgreSQL alone, with the name of the node that works on a row. */
export const OWNER = 'owner'
/** The condition that no running node owns a row. */
export const ABANDONED = 'owner NOT IN (SELECT name FROM nodes)'

/**
 * Makes the statements by which a node takes over rows of nodes that are gone.
 * @param table its name, its key and the column by which the index continues after `owner`
 * @param where a condition that the index begins with
 */
export function takeOverStatements({ name, key, order }: { name: string; key: string; order: string }, where = 'true') {
  return {
    /** Finds owners that do not run: each owner takes one look into the index, however many rows it has. */
    goneOwners: shared<{ owner: string }>(`
      WITH RECURSIVE owners AS (
        SELECT min(owner) AS owner FROM ${name} WHERE ${where}
        UNION ALL
        SELECT (SELECT min(${name}.owner) FROM ${name} WHERE ${where} AND ${name}.owner > owners.owner)
        FROM owners WHERE owners.owner IS NOT NULL)
      SELECT owner FROM owners WHERE owner <> $node AND ${ABANDONED}`),
    takeOver: shared(`
      UPDATE ${name} SET owner = $node WHERE ${key} IN (
        SELECT ${key} FROM ${name} WHERE ${where} AND owner = $gone ORDER BY ${order} LIMIT ${BATCH})
      AND $gone NOT IN (SELECT name FROM nodes)`),
  }
}

/** Makes this node the owner of the rows of nodes that are gone. Alone on a database, it owns all. */
export async function takeOver(
  engine: Engine,
  { goneOwners, takeOver: statement }: ReturnType<typeof takeOverStatements>,
  values: Values = {},
): Promise<void> {
  if (engine.node === null) return
  const node = engine.node.current
  for (const { owner } of await engine.all(goneOwners, { ...values, node }))
    await writeInBatches(engine, (tx) => tx.run(statement, { ...values, node, gone: owner }))
}

/** The tables `nodes` and `leases`. */
export function nodeStore(engine: Engine): NodeStore {
  const { node } = engine
  const name = () => node?.current ?? ''
  return {
    isShared: node !== null,
    async registerNode({ address, process, version }: NodeDescription, clock) {
      node?.replace()
      await engine.write((tx) => tx.run(statements.register, { node: name(), process, address, version, clock }))
    },
    async renewNode(clock): Promise<NodesSeen> {
      const rows = await engine.all(statements.renew, { node: name(), clock })
      const nodes = rows.filter(({ kind }) => kind === 'node')
      const leases = rows.filter(({ kind }) => kind === 'lease')
      const running = new Set(nodes.map((row) => row.name))
      return {
        isRegistered: nodes.some(({ isRegistered }) => isRegistered),
        others: nodes.filter((row) => row.name !== name()),
        leases: leases.filter(({ owner }) => owner === name()).map((row) => row.name),
        foreignLeases: leases.filter(({ owner }) => owner !== name() && running.has(owner)).map((row) => row.name),
      }
    },
    removeNode: (other, renewals) =>
      engine.write(function* (tx) {
        return (yield* tx.get(statements.remove, { name: other, renewals })) !== undefined
      }),
    async leaveNodes() {
      await engine.write(function* (tx) {
        yield* tx.run(statements.releaseAll, { node: name() })
        yield* tx.run(statements.leave, { node: name() })
      })
    },
    claimLeases: (names) =>
      engine.write(function* (tx) {
        const claimed = yield* tx.all(statements.claim, { node: name(), names: JSON.stringify(names) })
        return claimed.map((row) => row.name)
      }),
    async releaseLease(lease) {
      await engine.write((tx) => tx.run(statements.release, { name: lease, node: name() }))
    },
  }
}

/** Whether this node has a lease, until the end of the transaction. Alone on a database, it has every one. */
export function* holdsLease(engine: Engine, tx: Transaction, name: string): Body<boolean> {
  if (engine.node === null) return true
  return (yield* tx.get(statements.holds, { name, node: engine.node.current })) !== undefined
}
