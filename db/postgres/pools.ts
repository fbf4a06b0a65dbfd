import { hostname } from 'node:os'
import { SQL } from 'bun'
import { DatabaseUnavailable } from '../../services/kit/database-unavailable.ts'
import { withTimeout } from '../../services/kit/timeout.ts'
import { neutralError } from './errors.ts'

/** Connections for the requests of a service on a node. */
const CONNECTIONS = 4
/** Milliseconds within which an operation must end: a request gets its answer within two seconds. */
const PATIENCE = 1800
/**
 * Milliseconds after which the server ends a transaction whose node sends nothing: it stands still, and others wait for its
 * locks. Shorter than `PATIENCE`, so that these do not give up first.
 */
const IDLE_IN_TRANSACTION = 1000
/** Milliseconds by which a timer is late when the process is busy. */
const LATE = 100
/** Seconds for a connection to be made. */
const CONNECTION_PATIENCE = 2
/** Milliseconds for which connections are used before others may take their place: the server may be away for long. */
const SHORTEST_USE = 500
/**
 * Codes after which connections may lead to a server that is no longer the primary: it has ended one of them, is read-only,
 * lacks what was committed before, or cannot be reached. New ones lead to the primary of now.
 */
const MOVED = /^(08|57P0)|^25006$|^ERR_POSTGRES_CONNECTION|^OLD_PRIMARY$/

/** The characters of a host's name that the name of a node has at most. */
const HOST_MAX = 40

/** The beginning of `application_name` of every connection of a node: the tool finds running nodes by it. */
export const NODE_CONNECTION = 'ch202 '

interface Pool {
  sql: SQL
  /** When it was made, by the monotonic clock. */
  since: number
  /** When the server last answered on one of the connections, by the monotonic clock. */
  answeredAt: number
  /** Operations that have not ended; those whose callers have their answer are among them. */
  running: number
}

/**
 * The connections to the server. The driver has no time limit of its own: a server that stops answering without closing
 * its connections (a lost network, a frozen machine) would hold up requests for ever. When an operation takes too long
 * and nothing else was answered meanwhile, all connections are closed and new ones are made.
 *
 * After a failover, connections that nothing has closed lead to the old primary: it may answer reads and refuse writes, or
 * let each commit wait for its standby. So new connections are also made when an operation takes too long although others
 * were answered, and when the server refuses to write or ends a connection. The old ones are closed when their operations
 * have ended.
 */
export class Pools {
  private current: Pool
  /** Connections that take no more operations, until they are closed. */
  private readonly retired = new Map<Pool, Timer>()
  private isClosed = false

  /** @param patience milliseconds within which an operation must end */
  constructor(
    private readonly url: string,
    private readonly patience = PATIENCE,
  ) {
    this.current = newPool(url, patience)
  }

  /**
   * Runs an operation.
   * @param run gets the connections, and a function that says whether the caller has its answer already
   * @param startedAt when the caller began to wait, by the monotonic clock
   * @throws DatabaseUnavailable when the server cannot be reached, refuses, or takes too long: the operation may still
   * have taken place. InternalError for the server's other errors. Other errors of `run` as they are
   */
  async use<Result>(
    run: (sql: SQL, hasTimedOut: () => boolean) => Result | Promise<Result>,
    startedAt = performance.now(),
  ): Promise<Result> {
    const pool = this.current
    let hasTimedOut = false
    pool.running++
    const operation = settle(() => run(pool.sql, () => hasTimedOut)).finally(() => {
      pool.running--
      this.closeRetired(pool)
    })
    let settled = await withTimeout(operation, Math.max(this.patience - (performance.now() - startedAt), 0))
    // The timer came late: this process was busy, and answers of the server may wait to be read.
    if (settled === undefined && performance.now() - startedAt > this.patience + LATE)
      settled = await withTimeout(operation, LATE)
    if (settled === undefined) {
      hasTimedOut = true
      if (pool.answeredAt < startedAt) this.replace(pool)
      else this.retire(pool)
      throw new DatabaseUnavailable('PostgreSQL did not answer in time', 'TIMEOUT')
    }
    if ('error' in settled) {
      const error = neutralError(settled.error)
      if (!(error instanceof DatabaseUnavailable)) pool.answeredAt = performance.now()
      else if (MOVED.test(error.code)) this.retire(pool)
      throw error
    }
    pool.answeredAt = performance.now()
    return settled.result
  }

  /** Waits for operations that are running, unless the server has stopped answering. */
  async close(): Promise<void> {
    this.isClosed = true
    for (const [pool, timer] of this.retired) {
      clearTimeout(timer)
      closeNow(pool.sql)
    }
    this.retired.clear()
    await withTimeout(this.current.sql.close(), this.patience)
    await this.current.sql.close({ timeout: 0 })
  }

  /** Uses new connections, and closes the others at once. */
  private replace(pool: Pool): void {
    if (this.renew(pool)) closeNow(pool.sql)
  }

  /** Uses new connections, and closes the others when their operations have ended, or nobody waits for these any more. */
  private retire(pool: Pool): void {
    if (performance.now() - pool.since < SHORTEST_USE || !this.renew(pool)) return
    const close = () => {
      this.retired.delete(pool)
      closeNow(pool.sql)
    }
    this.retired.set(pool, setTimeout(close, this.patience + LATE))
    this.closeRetired(pool)
  }

  /** Closes connections that take no more operations, when none is left. */
  private closeRetired(pool: Pool): void {
    const timer = this.retired.get(pool)
    if (timer === undefined || pool.running > 0) return
    clearTimeout(timer)
    this.retired.delete(pool)
    closeNow(pool.sql)
  }

  /** @returns false if other connections have taken the place of these already */
  private renew(pool: Pool): boolean {
    if (pool !== this.current || this.isClosed) return false
    this.current = newPool(this.url, this.patience)
    return true
  }
}

function closeNow(sql: SQL): void {
  sql.close({ timeout: 0 }).catch(() => undefined)
}

function newPool(url: string, timeout: number): Pool {
  const patience = Math.max(CONNECTION_PATIENCE, timeout / 1000)
  return {
    sql: connect(url, { max: CONNECTIONS, patience, timeout }),
    since: performance.now(),
    answeredAt: 0,
    running: 0,
  }
}

/**
 * Makes a pool of connections to the database of `DATABASE_URL`. None is opened before the first statement.
 * @param max connections
 * @param patience seconds for a connection to be made
 * @param timeout milliseconds after which this node gives up; the server ends statements after twice that, and transactions
 * without a statement after that time or a second
 * @param program the beginning of `application_name`, which the server shows to operators; the name in the address, or the
 * host and the process, follows
 */
export function connect(
  address: string,
  {
    max,
    patience = CONNECTION_PATIENCE,
    program = NODE_CONNECTION,
    timeout,
  }: { max: number; patience?: number; program?: string; timeout?: number },
): SQL {
  const url = new URL(address)
  url.searchParams.set('application_name', program + nameIn(address))
  // A pooler in transaction mode has no prepared statements, and refuses parameters of a connection.
  const isPrepared = isPipelined(address)
  url.searchParams.delete('prepare')
  return new SQL({
    url: url.href,
    max,
    bigint: true,
    connectionTimeout: patience,
    prepare: isPrepared,
    ...(isPrepared &&
      timeout !== undefined && {
        connection: {
          statement_timeout: 2 * timeout,
          idle_in_transaction_session_timeout: Math.min(timeout, IDLE_IN_TRANSACTION),
        },
      }),
  })
}

/** Whether statements to an address are prepared. The driver sends only those before others are answered. */
export function isPipelined(address: string): boolean {
  return new URL(address).searchParams.get('prepare') !== 'false'
}

/** Gives an address the name of a node, if there is one. */
export function withNodeName(address: string, name: string | undefined): string {
  const url = new URL(address)
  if (name !== undefined) url.searchParams.set('application_name', name)
  return url.href
}

/** The name of this process as the address of the database has it, or the host and the process. */
export function nameIn(address: string): string {
  return new URL(address).searchParams.get('application_name') ?? nodeName(process.pid)
}

/**
 * The name of a process, unless its address gives it one. The server cuts names off after 63 bytes: two processes of a
 * machine with a long name would have the same one.
 */
export function nodeName(pid: number, host = hostname()): string {
  return `${host.slice(0, HOST_MAX)}:${pid}`
}

async function settle<Result>(run: () => Result | Promise<Result>): Promise<{ result: Result } | { error: unknown }> {
  try {
    return { result: await run() }
  } catch (error) {
    return { error }
  }
}
