import { createHash } from 'node:crypto'
import { CHAIN_HEAD, CHAINED_COLUMNS, type ChainedRow, parseHead, UNSEALED_COLUMNS } from '../../schema/audit-chain.ts'
import { ChainCheck, type ChainReport } from '../../schema/audit-check.ts'
import type { DatabaseFile } from '../../sqlite/database-file.ts'
import type {
  ClientAddress,
  Drift,
  FailingLogouts,
  InspectedKey,
  MailTrouble,
  WaitingNotices,
} from '../../sqlite/inspect/index.ts'
import { type Executor, inspecting } from './server.ts'

const PAGE = 1000
/** Drifts that are listed at most. */
const DRIFTS_MAX = 10_000

/** The code of SQL for a table that does not exist. */
export const NO_TABLE = '42P01'

/** Queries that read the newest row by an index. */
const LATEST: Record<string, string> = {
  auth: `SELECT greatest(
      (SELECT at FROM auth.audit ORDER BY seq DESC LIMIT 1), (SELECT max(created_at) FROM auth.sessions),
      (SELECT CAST(value AS bigint) FROM auth.facts WHERE name = 'alive_at')) AS at`,
  users: 'SELECT updated_at AS at FROM users.users ORDER BY change DESC LIMIT 1',
  modules: 'SELECT max(created_at) AS at FROM modules.modules',
}

/**
 * The schema of one service, which is only read. Each method sees one moment.
 * @throws every method: PostgresFailure
 */
export class InspectedSchema {
  constructor(
    private readonly url: string,
    private readonly database: Pick<DatabaseFile, 'name' | 'postgres'>,
  ) {}

  /** Compares its migrations with those of this program. */
  schema(): Promise<{ pending: string[]; unknown: string[]; edited: string[] }> {
    return this.read(async (tx) => {
      const { name: schema, postgres } = this.database
      const rows = await tx.unsafe(
        `SELECT name, checksum FROM "${schema}".schema_migrations WHERE name <> '' ORDER BY name`,
      )
      const applied = [...rows].map(({ checksum, name }) => ({ name: String(name), checksum: String(checksum) }))
      const checksums = new Map(
        postgres.map(({ name, sql }) => [name, createHash('sha256').update(sql).digest('hex')] as const),
      )
      return {
        pending: [...checksums.keys()].filter((name) => !applied.some((row) => row.name === name)),
        unknown: applied.map(({ name }) => name).filter((name) => !checksums.has(name)),
        edited: applied
          .filter(({ checksum, name }) => (checksums.get(name) ?? checksum) !== checksum)
          .map(({ name }) => name),
      }
    })
  }

  /** The latest time in the schema, in milliseconds since the epoch; 0 when it holds none. */
  async latest(): Promise<number> {
    const query = LATEST[this.database.name]
    if (query === undefined) return 0
    const [row] = await this.rows(query)
    return Number(row?.at ?? 0)
  }

  /** The issuer of the tokens; undefined before the first start of auth. */
  async issuer(): Promise<string | undefined> {
    const [row] = await this.rows("SELECT value FROM auth.facts WHERE name = 'issuer'")
    return row && String(row.value)
  }

  /** The relying party of the first passkey; undefined before it. */
  async passkeyRpId(): Promise<string | undefined> {
    const [row] = await this.rows("SELECT value FROM auth.facts WHERE name = 'passkey_rp_id'")
    return row && String(row.value)
  }

  /** Counts the active administrators, and those without a second factor. */
  async administrators(): Promise<{ total: number; withoutFactor: number }> {
    const [row] = await this.rows(
      `SELECT count(*) AS total, count(*) FILTER (WHERE
         NOT EXISTS (SELECT 1 FROM auth.totps WHERE totps.user_id = accounts.user_id AND confirmed_at IS NOT NULL)
         AND NOT EXISTS (SELECT 1 FROM auth.passkeys WHERE passkeys.user_id = accounts.user_id)) AS without_factor
       FROM auth.accounts WHERE deleted = 0 AND status = 'active' AND roles::jsonb @> '["ADMIN"]'`,
    )
    return { total: Number(row?.total ?? 0), withoutFactor: Number(row?.without_factor ?? 0) }
  }

  /** The addresses that auth calls for its active OAuth clients, by the names of the clients. */
  async clientAddresses(): Promise<ClientAddress[]> {
    const rows = await this.rows(
      `SELECT name AS client, jwks_uri AS address FROM auth.clients WHERE status = 'active' AND jwks_uri IS NOT NULL
       UNION SELECT name, backchannel_logout_uri FROM auth.clients
         WHERE status = 'active' AND backchannel_logout_uri IS NOT NULL
       ORDER BY 1, 2`,
    )
    return rows.map(({ address, client }) => ({ client: String(client), address: String(address) }))
  }

  /** The clients that do not acknowledge the end of sessions, as for a file. */
  async failingLogouts(before: number): Promise<FailingLogouts[]> {
    const rows = await this.rows(
      `SELECT name AS client, count(*) AS waiting, max(last_error) AS reason
       FROM auth.client_logouts JOIN auth.clients ON clients.id = client_id
       WHERE clients.status = 'active' AND at < $1 AND last_error IS NOT NULL GROUP BY clients.id, name ORDER BY name`,
      [before],
    )
    return rows.map(({ client, reason, waiting }) => ({
      client: String(client),
      waiting: Number(waiting),
      reason: String(reason),
    }))
  }

  /** The signing keys, the newest first. */
  async keys(): Promise<InspectedKey[]> {
    const rows = await this.rows(
      'SELECT kid, alg, status, created_at, sealed_private_key AS sealed FROM auth.signing_keys ORDER BY created_at DESC',
    )
    return rows.map(({ alg, created_at, kid, sealed, status }) => ({
      kid: String(kid),
      alg: String(alg),
      status: String(status),
      created_at: Number(created_at),
      sealed: sealed as Uint8Array,
    }))
  }

  /** Whether an active user has the role ADMIN. */
  async hasAdmin(): Promise<boolean> {
    return (await this.rows('SELECT 1 FROM users.users WHERE is_admin = 1 LIMIT 1')).length > 0
  }

  /** Checks the chain of the audit, and counts the rows that a node has not put into it yet. */
  auditChain(): Promise<AuditReport> {
    return this.read(async (tx) => ({ ...(await walkChain(tx)), unchained: await unchainedRows(tx) }))
  }

  /** Counts the mails that have waited since before a time (ms since the epoch), with the reasons of their last failures. */
  async waitingMails(before: number): Promise<{ waiting: number; reasons: string[] }> {
    const rows = await this.rows(
      `SELECT count(*) AS waiting, last_error AS reason FROM auth.mail_requests WHERE requested_at < $1
       GROUP BY 2 ORDER BY 1 DESC`,
      [before],
    )
    return {
      waiting: rows.reduce((sum, { waiting }) => sum + Number(waiting), 0),
      reasons: rows.flatMap(({ reason }) => (reason === null ? [] : String(reason))),
    }
  }

  /** Reports why the mail server fails, as for a file. */
  mailTroubles(reasons: readonly string[]): Promise<MailTrouble[]> {
    return this.read(async (tx) => {
      const [fact] = await tx.unsafe("SELECT value FROM auth.facts WHERE name = 'mail_trouble'")
      const recorded: MailTrouble[] = fact?.value ? [JSON.parse(fact.value)] : []
      const waiting = await tx.unsafe(
        'SELECT DISTINCT last_error AS reason FROM auth.mail_requests WHERE last_error IS NOT NULL',
      )
      return [...recorded, ...[...waiting].map(({ reason }) => ({ reason: String(reason), at: null }))].filter(
        ({ reason }) => reasons.includes(reason),
      )
    })
  }

  /** Counts deliveries of events: those pending since before a time (ms since the epoch), and those that failed. */
  async undelivered(before: number): Promise<{ late: number; dead: number }> {
    const [row] = await this.rows(
      `SELECT count(*) FILTER (WHERE status = 'pending' AND since < $1) AS late,
         count(*) FILTER (WHERE status = 'dead') AS dead
       FROM auth.deliveries WHERE status <> 'delivered'`,
      [before],
    )
    return { late: Number(row?.late ?? 0), dead: Number(row?.dead ?? 0) }
  }

  /** Counts the notices that wait in the outbox, by target, as for a file. */
  async waitingNotices(before: number): Promise<WaitingNotices[]> {
    const { name } = this.database
    const recordTime = name === 'users' ? '(SELECT updated_at FROM users.users WHERE id = subject)' : 'NULL'
    const rows = await this.rows(
      `WITH notices AS (
         SELECT seq, target, coalesce(CAST(payload::jsonb->>'at' AS bigint), ${recordTime}) AS at FROM "${name}".outbox
       ), latest AS (SELECT target, max(seq) AS seq FROM notices WHERE at < $1 GROUP BY target)
       SELECT notices.target, count(*) AS notices,
         count(*) FILTER (WHERE notices.seq <= coalesce(latest.seq, 0)) AS late, min(notices.at) AS oldest
       FROM notices LEFT JOIN latest ON latest.target = notices.target GROUP BY notices.target ORDER BY notices.target`,
      [before],
    )
    return rows.map(({ late, notices, oldest, target }) => ({
      target: String(target),
      notices: Number(notices),
      late: Number(late),
      oldest: oldest === null ? null : Number(oldest),
    }))
  }

  /** Counts the rows of tables. */
  async counts(tables: readonly string[]): Promise<Record<string, number>> {
    const counts: Record<string, number> = {}
    for (const table of tables) {
      const [row] = await this.rows(`SELECT count(*) AS count FROM "${this.database.name}"."${table}"`)
      counts[table] = Number(row?.count ?? 0)
    }
    return counts
  }

  /** The foreign references whose row is missing: a dump that was restored in part may have some. */
  orphans(): Promise<string[]> {
    return this.read(async (tx) => {
      const references = await tx.unsafe(
        `SELECT child.relname AS child, parent.relname AS parent, foreign_column.attname AS foreign_column,
           key_column.attname AS key_column
         FROM pg_constraint
           JOIN pg_class child ON child.oid = conrelid
           JOIN pg_class parent ON parent.oid = confrelid
           JOIN pg_attribute foreign_column ON foreign_column.attrelid = conrelid AND foreign_column.attnum = conkey[1]
           JOIN pg_attribute key_column ON key_column.attrelid = confrelid AND key_column.attnum = confkey[1]
         WHERE contype = 'f' AND connamespace = to_regnamespace($1) ORDER BY 1, 2`,
        [this.database.name],
      )
      const orphans: string[] = []
      for (const { child, foreign_column, key_column, parent } of references) {
        const missing = await tx.unsafe(
          `SELECT 1 FROM "${this.database.name}"."${child}" child
           WHERE "${foreign_column}" IS NOT NULL AND NOT EXISTS (
             SELECT 1 FROM "${this.database.name}"."${parent}" parent WHERE parent."${key_column}" = child."${foreign_column}")
           LIMIT 1`,
        )
        if (missing.length > 0) orphans.push(`a row of ${child} without its row of ${parent}`)
      }
      return orphans
    })
  }

  private async rows(query: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
    return this.read(async (tx) => [...(await tx.unsafe(query, values as never[]))])
  }

  private read<Result>(run: (tx: Executor) => Promise<Result>): Promise<Result> {
    return inspecting(this.url, run)
  }
}

interface AuditReport extends ChainReport {
  /** Rows that are not in the chain yet. A file has none: absent. */
  unchained?: UnchainedRows
}

interface UnchainedRows {
  rows: number
  /** For how many milliseconds the first has waited; 0 without a row. */
  waiting: number
}

async function walkChain(tx: Executor): Promise<ChainReport> {
  const [fact] = await tx.unsafe('SELECT value FROM auth.facts WHERE name = $1', [CHAIN_HEAD])
  const check = new ChainCheck(parseHead(fact?.value))
  const [seal] = await tx.unsafe(
    "SELECT 1 FROM information_schema.columns WHERE table_schema = 'auth' AND table_name = 'audit' AND column_name = 'row_hash'",
  )
  // A schema of the previous version has no seals.
  const columns = seal ? CHAINED_COLUMNS : UNSEALED_COLUMNS
  for (let after = '-9223372036854775808'; ; ) {
    const rows = (await tx
      .unsafe(`SELECT ${columns} FROM auth.audit WHERE seq > $1 ORDER BY seq LIMIT ${PAGE}`, [after])
      .values()) as unknown[][]
    for (const row of rows) {
      const report = check.add(row.map((value) => (typeof value === 'bigint' ? Number(value) : value)) as ChainedRow)
      if (report) return report
    }
    const last = rows.at(-1)
    if (!last) return check.end()
    after = String(last[0])
  }
}

async function unchainedRows(tx: Executor): Promise<UnchainedRows> {
  const [table] = await tx.unsafe("SELECT to_regclass('auth.unchained_audit') IS NOT NULL AS exists")
  // A schema of the previous version.
  if (!table.exists) return { rows: 0, waiting: 0 }
  const [row] = await tx.unsafe(
    `SELECT count(*) AS rows, coalesce(extract(epoch FROM clock_timestamp()) * 1000 - min(written_at), 0) AS waiting
     FROM auth.unchained_audit`,
  )
  return { rows: Number(row.rows), waiting: Math.max(0, Math.round(Number(row.waiting))) }
}

/** Compares users with the password cache by id and version, as for files. */
export async function driftsIn(url: string): Promise<Drift[]> {
  const rows = await inspecting(url, (tx) =>
    tx.unsafe(
      `SELECT user_id AS id, records.version AS users, accounts.version AS auth, deleted
       FROM auth.accounts LEFT JOIN users.users records ON records.id = user_id
       WHERE (cached = 1 OR deleted = 1)
         AND CASE WHEN deleted = 1 THEN records.id IS NOT NULL
           ELSE records.version IS DISTINCT FROM accounts.version END
         AND NOT EXISTS (
           SELECT 1 FROM users.outbox WHERE target = 'auth' AND subject = user_id AND kind <> 'audit')
       ORDER BY user_id LIMIT ${DRIFTS_MAX}`,
    ),
  )
  return [...rows].map((row) => {
    const users = row.users === null ? null : Number(row.users)
    const auth = Number(row.auth)
    const isDeleted = Number(row.deleted) === 1
    const kind = isDeleted ? 'buried' : users === null ? 'gone' : users > auth ? 'behind' : 'ahead'
    return { id: String(row.id), kind, users, auth: isDeleted ? null : auth }
  })
}
