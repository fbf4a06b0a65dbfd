import { constants, Database } from 'bun:sqlite'
import { existsSync, statSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { type Chain, examineChain } from '../audit-chain.ts'
import type { DatabaseFile } from '../database-file.ts'
import { applicationIdOf, checksumOf } from '../engine.ts'
import { AUDIT_CHAIN, EVENTS, MAILS } from '../migrations/auth.ts'

/** Why a database can't be looked at without changing something. */
export class InspectionUnavailable extends Error {
  override name = 'NotNow'
}

/** Bytes above which pages are looked at one by one, and not against their indexes. */
const LARGE = 256 * 1024 * 1024
const BUSY_PATIENCE = 2000

/** A database that is read, and of which nothing on the disk is changed: no file beside it is made, filled or owned. */
export class InspectedDatabase {
  private constructor(
    readonly raw: Database,
    readonly file: DatabaseFile,
  ) {}

  /**
   * SQLite makes files beside a database even where it only reads, and as whoever reads: a root that looks would lock
   * the service out. So: none beside it, and it is read as it lies there; a write-ahead log with its index, and the
   * index is read but not written; else not at all.
   * @throws NotNow; SQLite's error where it is none or can't be read
   */
  static open(file: DatabaseFile): InspectedDatabase {
    const { path } = file
    const log = existsSync(`${path}-wal`) && statSync(`${path}-wal`).size > 0
    const index = existsSync(`${path}-shm`)
    if (log && !index)
      throw new InspectionUnavailable(
        'A write-ahead log is left without its index: it is taken in when the service starts',
      )
    const how = index ? 'mode=ro&readonly_shm=1' : 'mode=ro&immutable=1'
    return new InspectedDatabase(opened(`${pathToFileURL(path).href}?${how}`), file)
  }

  close(): void {
    this.raw.close()
  }

  /** Undefined: it is the database of this service. */
  foreign(): string | undefined {
    const id = this.one<{ application_id: number }>('PRAGMA application_id')?.application_id
    const { name } = this.file
    return id === applicationIdOf(name) ? undefined : `It is not the database of the ${name} service`
  }

  /** Looks at every page. @returns the first faults; `quick`: without comparing tables with their indexes */
  integrity(): { faults: string[]; quick: boolean } {
    const quick = statSync(this.file.path).size > LARGE
    const rows = this.raw.query<Record<string, string>, []>(`PRAGMA ${quick ? 'quick' : 'integrity'}_check(5)`).all()
    const said = rows.map((row) => Object.values(row)[0] ?? '').filter((text) => text !== 'ok')
    const orphans = this.raw.query<{ table: string; parent: string }, []>('PRAGMA foreign_key_check').all()
    const lost = orphans.slice(0, 5).map(({ parent, table }) => `a row of ${table} without its row of ${parent}`)
    return { faults: [...said, ...lost], quick }
  }

  /** How its schema stands to that of this program. */
  schema(): { pending: string[]; unknown: string[]; edited: string[] } {
    const applied = this.raw
      .query<{ name: string; checksum: string }, []>('SELECT name, checksum FROM schema_migrations ORDER BY name')
      .all()
    const known = new Map(this.file.migrations.map((migration) => [migration.name, checksumOf(migration)]))
    const names = new Set(applied.map(({ name }) => name))
    return {
      pending: [...known.keys()].filter((name) => !names.has(name)),
      unknown: [...names].filter((name) => !known.has(name)),
      edited: applied
        .filter(({ checksum, name }) => (known.get(name) ?? checksum) !== checksum)
        .map(({ name }) => name),
    }
  }

  private one<Row>(sql: string): Row | null {
    return this.raw.query<Row, []>(sql).get()
  }

  /** The latest time that stands in it, in milliseconds since the epoch; 0 where there is none. */
  latest(): number {
    return Math.max(0, ...(LATEST[this.file.name] ?? []).map((sql) => this.one<{ at: number }>(sql)?.at ?? 0))
  }
}

/** By an index each: the newest row, not all of them. */
const LATEST: Record<string, readonly string[]> = {
  auth: [
    'SELECT at FROM audit ORDER BY seq DESC LIMIT 1',
    'SELECT created_at AS at FROM sessions ORDER BY id DESC LIMIT 1',
    "SELECT CAST(value AS INTEGER) AS at FROM facts WHERE name = 'alive_at'",
  ],
  users: ['SELECT updated_at AS at FROM users ORDER BY "change" DESC LIMIT 1'],
  modules: ['SELECT max(created_at) AS at FROM modules'],
}

function opened(uri: string): Database {
  const raw = new Database(uri, constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_URI)
  try {
    raw.run(`PRAGMA busy_timeout = ${BUSY_PATIENCE}`)
    raw.run('PRAGMA query_only = ON')
    return raw
  } catch (error) {
    raw.close()
    throw error
  }
}

/** What one target has not been told yet. */
export interface Waiting {
  target: string
  notices: number
  /** Those that are known to have waited since before the time asked for. */
  late: number
  /** Since when the oldest waits at least, in milliseconds since the epoch. */
  oldest: number | null
}

/**
 * The notices that others have not acknowledged. A notice bears no time of its own: its event does, or the record it
 * speaks of; and none is younger than one that was written after it.
 * @param before milliseconds since the epoch
 */
export function waitingNotices({ file, raw }: InspectedDatabase, before: number): Waiting[] {
  const recordTime = file.name === 'users' ? '(SELECT updated_at FROM users WHERE id = subject)' : 'NULL'
  return raw
    .query<Waiting, [number]>(`
      WITH notices AS (
        SELECT seq, target, coalesce(json_extract(payload, '$.at'), ${recordTime}) AS at FROM outbox
      ), latest AS (SELECT target, max(seq) AS seq FROM notices WHERE at < ?1 GROUP BY target)
      SELECT notices.target, count(*) AS notices, sum(notices.seq <= coalesce(latest.seq, 0)) AS late,
        min(notices.at) AS oldest
      FROM notices LEFT JOIN latest ON latest.target = notices.target GROUP BY notices.target`)
    .all(before)
}

/** Whether an active user has the role ADMIN. */
export function hasAdmin({ raw }: InspectedDatabase): boolean {
  return raw.query('SELECT 1 FROM users WHERE is_admin LIMIT 1').get() !== null
}

/** What tokens are issued under; undefined before the first start of auth. */
export function issuerOf({ raw }: InspectedDatabase): string | undefined {
  return raw.query<{ value: string }, []>("SELECT value FROM facts WHERE name = 'issuer'").get()?.value
}

/** The signing keys, the newest first, their private parts as they are kept. */
export function keysOf({
  raw,
}: InspectedDatabase): { kid: string; status: string; created_at: number; sealed: Uint8Array }[] {
  return raw
    .query<{ kid: string; status: string; created_at: number; sealed: Uint8Array }, []>(
      'SELECT kid, status, created_at, sealed_private_key AS sealed FROM signing_keys ORDER BY created_at DESC',
    )
    .all()
}

/** The chain of the audit; null in a database from before there was one. */
export function auditChain(examined: InspectedDatabase): Chain | null {
  return examined.schema().pending.includes(AUDIT_CHAIN) ? null : examineChain(examined.raw)
}

/** How many mails wait since before a time, in milliseconds since the epoch, and why their last attempts failed. */
export function waitingMails(examined: InspectedDatabase, before: number): { waiting: number; reasons: string[] } {
  const reason = examined.schema().pending.includes(MAILS) ? 'NULL' : 'last_error'
  const rows = examined.raw
    .query<{ waiting: number; reason: string | null }, [number]>(
      `SELECT count(*) AS waiting, ${reason} AS reason FROM mail_requests WHERE requested_at < ? GROUP BY 2 ORDER BY 1 DESC`,
    )
    .all(before)
  return {
    waiting: rows.reduce((sum, { waiting }) => sum + waiting, 0),
    reasons: rows.flatMap((row) => row.reason ?? []),
  }
}

/**
 * Why the mail server fails mails, the newest first, of the reasons that are asked for: what auth noted since a mail last
 * went out, and what waiting mails failed for. Times are in milliseconds since the epoch, null where none was kept.
 */
export function mailTroubles(
  examined: InspectedDatabase,
  reasons: readonly string[],
): { reason: string; at: number | null }[] {
  if (examined.schema().pending.includes(MAILS)) return []
  const value = examined.raw
    .query<{ value: string }, []>("SELECT value FROM facts WHERE name = 'mail_trouble'")
    .get()?.value
  const noted: { reason: string; at: number | null }[] = value ? [JSON.parse(value)] : []
  const waiting = examined.raw
    .query<{ reason: string }, []>(
      'SELECT DISTINCT last_error AS reason FROM mail_requests WHERE last_error IS NOT NULL',
    )
    .all()
  return [...noted, ...waiting.map(({ reason }) => ({ reason, at: null }))].filter(({ reason }) =>
    reasons.includes(reason),
  )
}

/** Events that do not reach the outside: those under way since before a time, and those that were given up. */
export function undelivered(examined: InspectedDatabase, before: number): { late: number; dead: number } {
  const none = { late: 0, dead: 0 }
  if (examined.schema().pending.includes(EVENTS)) return none
  return (
    examined.raw
      .query<{ late: number; dead: number }, [number]>(
        `SELECT coalesce(sum(status = 'pending' AND since < ?), 0) AS late, coalesce(sum(status = 'dead'), 0) AS dead
         FROM deliveries WHERE status <> 'delivered'`,
      )
      .get(before) ?? none
  )
}

/** A user of whom auth knows something else than users does. */
export interface Drift {
  id: string
  kind: 'behind' | 'ahead' | 'gone' | 'buried'
  /** What the two hold; null: nothing. */
  users: number | null
  auth: number | null
}

interface Known {
  id: string
  version: number
  deleted?: number
}

/**
 * Compares users with the password cache by id and version, both in the order of the ids. One whom the cache does not
 * hold is fetched at its login; one of whom a notice waits is about to be told.
 */
export function* drifts(users: InspectedDatabase, auth: InspectedDatabase): Generator<Drift> {
  const records = users.raw.query<Known, []>('SELECT id, version FROM users ORDER BY id').iterate()
  const accounts = auth.raw
    .query<Known, []>(
      'SELECT user_id AS id, version, deleted FROM accounts WHERE cached = 1 OR deleted = 1 ORDER BY id',
    )
    .iterate()
  const waits = users.raw.query(
    "SELECT 1 FROM outbox WHERE target = 'auth' AND subject = ? AND kind <> 'audit' LIMIT 1",
  )
  let user = next(records)
  let account = next(accounts)
  while (account) {
    while (user && user.id < account.id) user = next(records)
    const record = user?.id === account.id ? user : undefined
    const kind = kindOf(record, account)
    if (kind !== undefined && waits.get(account.id) === null)
      yield { id: account.id, kind, users: record?.version ?? null, auth: account.deleted ? null : account.version }
    account = next(accounts)
  }
}

function kindOf(user: Known | undefined, account: Known): Drift['kind'] | undefined {
  if (account.deleted) return user && 'buried'
  if (!user) return 'gone'
  if (user.version === account.version) return undefined
  return user.version > account.version ? 'behind' : 'ahead'
}

function next<T>(rows: Iterator<T>): T | undefined {
  const { done, value } = rows.next()
  return done ? undefined : value
}
