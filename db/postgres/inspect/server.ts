import type { SQL } from 'bun'
import { explained } from '../failure.ts'
import { connect, NODE_CONNECTION } from '../pools.ts'
import { withoutTimeouts } from '../time-limits.ts'

/** Runs statements: a pool, or a transaction. */
export type Executor = Pick<SQL, 'unsafe'>

/** The beginning of `application_name` of the tool's own connections, which are no node's. */
const TOOL_CONNECTION = 'ch202-tool '
/** Seconds for a connection of the tool to be made: no request waits for it. */
const PATIENCE = 10

/**
 * Opens one connection for the tool.
 * @throws PostgresFailure when the database cannot be reached or refuses a statement
 */
export async function withConnection<Result>(url: string, run: (sql: SQL) => Promise<Result>): Promise<Result> {
  const sql = connect(url, { max: 1, patience: PATIENCE, program: TOOL_CONNECTION })
  try {
    return await run(sql)
  } catch (error) {
    throw explained(error, url)
  } finally {
    await sql.close({ timeout: 0 })
  }
}

/** Reads in a transaction that sees one moment and writes nothing. Statements of it may take as long as they need. */
export function inspecting<Result>(url: string, run: (tx: Executor) => Promise<Result>): Promise<Result> {
  return withConnection(
    url,
    (sql) =>
      sql.begin('ISOLATION LEVEL REPEATABLE READ READ ONLY', async (tx) => {
        await withoutTimeouts(tx)
        return run(tx)
      }) as Promise<Result>,
  )
}

/** A process of Ch202 that is connected to the database. */
export interface ConnectedNode {
  /** The host and the process, or the name that its address gives it. */
  node: string
  /** The address that it connects from; null: a socket of the same machine. */
  address: string | null
  connections: number
  /** Whether each of its connections waits for a lock, as while it starts during a migration. */
  isWaiting: boolean
  /** Milliseconds since the epoch. */
  since: number
}

/** Lists the nodes that are connected, without the tool itself. */
export async function connectedNodes(executor: Executor): Promise<ConnectedNode[]> {
  const rows = await executor.unsafe(
    `SELECT substr(application_name, length($1) + 1) AS node, host(client_addr) AS address, count(*) AS connections,
       CAST(extract(epoch FROM min(backend_start)) * 1000 AS bigint) AS since,
       coalesce(bool_and(wait_event_type = 'Lock'), false) AS waiting
     FROM pg_stat_activity
     WHERE datname = current_database() AND starts_with(application_name, $1) AND pid <> pg_backend_pid()
     GROUP BY 1, 2 ORDER BY 1, 2`,
    [NODE_CONNECTION],
  )
  return [...rows].map((row) => ({
    node: String(row.node),
    address: row.address as string | null,
    connections: Number(row.connections),
    isWaiting: row.waiting,
    since: Number(row.since),
  }))
}

/** A server that replicates from the primary. */
export interface Standby {
  /** Its `application_name`, by which `synchronous_standby_names` names it. */
  name: string
  /** `streaming` when it has caught up. */
  state: string
  isSynchronous: boolean
  /** Bytes of changes that it has not on its disk yet: what a failover to it would lose. Null: it has not begun. */
  behind: number | null
}

export interface ServerState {
  /** The host and the port of the address. */
  host: string
  /** How long a statement took, with the way there and back. */
  latencyMs: number
  version: string
  /** The role of this connection. */
  user: string
  encoding: string
  /** Text columns of the services that do not compare byte by byte. */
  collatedColumns: string[]
  hasTrigrams: boolean
  hasSearchIndex: boolean
  /** Whether the first start has created the table of users. */
  hasUsers: boolean
  isStandby: boolean
  /** Whether transactions are read-only by a setting. */
  isReadOnly: boolean
  synchronousCommit: string
  /** Which standbys commits wait for; empty: none. */
  synchronousStandbyNames: string
  /** How many servers replicate from this one. */
  standbyCount: number
  /** The state of each; null: the user may not see more than their number. */
  standbys: Standby[] | null
  connections: number
  connectionsMax: number
  /** By how much the clock of the server is ahead of that of this machine. */
  aheadMs: number
}

/** Reads what `ch202 doctor` checks of a server, and of the schemas of the services. */
export async function serverState(tx: Executor, url: string, schemas: readonly string[]): Promise<ServerState> {
  const sentAt = Date.now()
  const startedAt = performance.now()
  const [clock] = await tx.unsafe('SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint) AS now')
  const latencyMs = performance.now() - startedAt
  const [server] = await tx.unsafe(
    `SELECT current_setting('server_version') AS version, current_user AS "user",
       (SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()) AS encoding,
       EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm') AS trigrams,
       to_regclass('users.users_search') IS NOT NULL AS search_index,
       to_regclass('users.users') IS NOT NULL AS has_users,
       pg_is_in_recovery() AS standby,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('synchronous_standby_names') AS synchronous_standby_names,
       (SELECT setting = 'on' FROM pg_settings WHERE name = 'default_transaction_read_only') AS read_only,
       (SELECT sum(numbackends) FROM pg_stat_database) AS connections,
       CAST(current_setting('max_connections') AS bigint) AS connections_max`,
  )
  const standbys = await tx.unsafe(
    `SELECT application_name AS name, state, sync_state, pg_wal_lsn_diff(
         CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END, flush_lsn) AS behind
     FROM pg_stat_replication ORDER BY 1`,
  )
  const columns = await tx.unsafe(
    `SELECT table_schema || '.' || table_name || '.' || column_name AS name
     FROM information_schema.columns
     WHERE table_schema = ANY (string_to_array($1, ',')) AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'
     ORDER BY 1`,
    [schemas.join()],
  )
  return {
    host: new URL(url).host,
    latencyMs,
    version: String(server.version),
    user: String(server.user),
    encoding: String(server.encoding),
    collatedColumns: [...columns].map(({ name }) => String(name)),
    hasTrigrams: server.trigrams,
    hasSearchIndex: server.search_index,
    hasUsers: server.has_users,
    isStandby: server.standby,
    isReadOnly: server.read_only,
    synchronousCommit: String(server.synchronous_commit),
    synchronousStandbyNames: String(server.synchronous_standby_names),
    standbyCount: standbys.length,
    // Another role's rows have no state unless this one may read all statistics.
    standbys: [...standbys].some((row) => row.state === null) ? null : [...standbys].map(standbyIn),
    connections: Number(server.connections),
    connectionsMax: Number(server.connections_max),
    // The server read its clock about halfway.
    aheadMs: Number(clock.now) - (sentAt + latencyMs / 2),
  }
}

function standbyIn({ behind, name, state, sync_state }: Record<string, unknown>): Standby {
  return {
    name: String(name),
    state: String(state),
    isSynchronous: sync_state === 'sync' || sync_state === 'quorum',
    behind: behind === null ? null : Math.max(0, Number(behind)),
  }
}
