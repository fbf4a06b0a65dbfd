import type { ChainReport } from '../../schema/audit-check.ts'
import { examineChain } from '../audit-chain.ts'
import { AUDIT_CHAIN, CLIENTS, EVENTS, FACTORS, GRANTS, MAILS } from '../migrations/auth.ts'
import type { InspectedDatabase } from './database.ts'

/** The issuer of the tokens; undefined before the first start of auth. */
export function issuerOf({ raw }: InspectedDatabase): string | undefined {
  return raw.query<{ value: string }, []>("SELECT value FROM facts WHERE name = 'issuer'").get()?.value
}

/** The relying party of the first passkey; undefined before it. */
export function passkeyRpIdOf({ raw }: InspectedDatabase): string | undefined {
  return raw.query<{ value: string }, []>("SELECT value FROM facts WHERE name = 'passkey_rp_id'").get()?.value
}

/** Counts the active administrators, and those without a second factor. */
export function administratorsIn(database: InspectedDatabase): { total: number; withoutFactor: number } {
  const hasNone = isPending(database, FACTORS)
    ? 'true'
    : `NOT EXISTS (SELECT 1 FROM totps WHERE totps.user_id = accounts.user_id AND confirmed_at IS NOT NULL)
        AND NOT EXISTS (SELECT 1 FROM passkeys WHERE passkeys.user_id = accounts.user_id)`
  const counts = database.raw
    .query<{ total: number; withoutFactor: number }, []>(
      `SELECT count(*) AS total, coalesce(sum(${hasNone}), 0) AS withoutFactor FROM accounts
       WHERE deleted = 0 AND status = 'active' AND EXISTS (SELECT 1 FROM json_each(roles) WHERE value = 'ADMIN')`,
    )
    .get()
  return counts ?? { total: 0, withoutFactor: 0 }
}

/** An address that an active OAuth client gave, and that auth calls. */
export interface ClientAddress {
  client: string
  address: string
}

/** The addresses that auth calls for its active OAuth clients, by the names of the clients. */
export function clientAddressesIn(database: InspectedDatabase): ClientAddress[] {
  if (isPending(database, CLIENTS)) return []
  return database.raw
    .query<ClientAddress, []>(
      `SELECT name AS client, jwks_uri AS address FROM clients WHERE status = 'active' AND jwks_uri IS NOT NULL
       UNION SELECT name, backchannel_logout_uri FROM clients WHERE status = 'active' AND backchannel_logout_uri IS NOT NULL
       ORDER BY 1, 2`,
    )
    .all()
}

/** An active OAuth client that is not told of ended sessions. */
export interface FailingLogouts {
  client: string
  waiting: number
  /** Why an attempt failed. */
  reason: string
}

/** The clients that do not acknowledge the end of sessions, by name: those with a failed notice of a session that ended before a time. */
export function failingLogouts(database: InspectedDatabase, before: number): FailingLogouts[] {
  if (isPending(database, GRANTS)) return []
  return database.raw
    .query<FailingLogouts, [number]>(
      `SELECT name AS client, count(*) AS waiting, max(last_error) AS reason
       FROM client_logouts JOIN clients ON clients.id = client_id
       WHERE clients.status = 'active' AND at < ? AND last_error IS NOT NULL GROUP BY clients.id, name ORDER BY name`,
    )
    .all(before)
}

export interface InspectedKey {
  kid: string
  alg: string
  status: string
  created_at: number
  /** The private key, encrypted. */
  sealed: Uint8Array
}

/** The signing keys, the newest first. */
export function keysOf({ raw }: InspectedDatabase): InspectedKey[] {
  return raw
    .query<InspectedKey, []>(
      'SELECT kid, alg, status, created_at, sealed_private_key AS sealed FROM signing_keys ORDER BY created_at DESC',
    )
    .all()
}

/** Checks the chain of the audit. Null: the database is older than the chain. */
export function auditChain(database: InspectedDatabase): ChainReport | null {
  return isPending(database, AUDIT_CHAIN) ? null : examineChain(database.raw)
}

/** Counts the mails that have waited since before a time (ms since the epoch), with the reasons of their last failures. */
export function waitingMails(database: InspectedDatabase, before: number): { waiting: number; reasons: string[] } {
  const reason = isPending(database, MAILS) ? 'NULL' : 'last_error'
  const rows = database.raw
    .query<{ waiting: number; reason: string | null }, [number]>(
      `SELECT count(*) AS waiting, ${reason} AS reason FROM mail_requests WHERE requested_at < ? GROUP BY 2 ORDER BY 1 DESC`,
    )
    .all(before)
  return {
    waiting: rows.reduce((sum, { waiting }) => sum + waiting, 0),
    reasons: rows.flatMap((row) => row.reason ?? []),
  }
}

export interface MailTrouble {
  reason: string
  /** Milliseconds since the epoch; null when no time was stored. */
  at: number | null
}

/**
 * Reports why the mail server fails, the newest first: the failure that auth recorded since the last delivered mail, and
 * those of the mails that wait.
 * @param reasons the reasons to report; others are left out
 */
export function mailTroubles(database: InspectedDatabase, reasons: readonly string[]): MailTrouble[] {
  if (isPending(database, MAILS)) return []
  const fact = database.raw
    .query<{ value: string }, []>("SELECT value FROM facts WHERE name = 'mail_trouble'")
    .get()?.value
  const recorded: MailTrouble[] = fact ? [JSON.parse(fact)] : []
  const waiting = database.raw
    .query<{ reason: string }, []>(
      'SELECT DISTINCT last_error AS reason FROM mail_requests WHERE last_error IS NOT NULL',
    )
    .all()
  return [...recorded, ...waiting.map(({ reason }) => ({ reason, at: null }))].filter(({ reason }) =>
    reasons.includes(reason),
  )
}

/** Counts deliveries of events: those pending since before a time (ms since the epoch), and those that failed. */
export function undelivered(database: InspectedDatabase, before: number): { late: number; dead: number } {
  const none = { late: 0, dead: 0 }
  if (isPending(database, EVENTS)) return none
  return (
    database.raw
      .query<{ late: number; dead: number }, [number]>(
        `SELECT coalesce(sum(status = 'pending' AND since < ?), 0) AS late, coalesce(sum(status = 'dead'), 0) AS dead
         FROM deliveries WHERE status <> 'delivered'`,
      )
      .get(before) ?? none
  )
}

function isPending(database: InspectedDatabase, migration: string): boolean {
  return database.schema().pending.includes(migration)
}
