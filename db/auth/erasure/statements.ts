import { text } from '../../engine.ts'
import { CHAINED_COLUMNS } from '../../schema/audit-chain.ts'

/** Rows of the audit that one step looks at. */
const STEP = 10_000

/** Selects the values of a list that is passed as JSON. */
const LIST = {
  sqlite: (name: string) => `(SELECT value FROM json_each($${name}))`,
  postgres: (name: string) => `(SELECT jsonb_array_elements_text(CAST($${name} AS text)::jsonb))`,
}
/** Selects the names of two requests for one erasure, each once. */
const UNION = {
  sqlite: (name: string) => `(SELECT json_group_array(value) FROM (
      SELECT value FROM json_each(erasures.${name}) UNION SELECT value FROM json_each(excluded.${name})))`,
  postgres: (name: string) => `(SELECT CAST(COALESCE(jsonb_agg(value), '[]') AS text) FROM (
      SELECT jsonb_array_elements_text(CAST(erasures.${name} AS jsonb)) AS value
      UNION SELECT jsonb_array_elements_text(CAST(excluded.${name} AS jsonb))) AS names)`,
}
/**
 * Begins an erasure again from its beginning. One that still runs keeps its names: they are stored nowhere else. One that is
 * complete has none. The time is later than the one before, so that whoever works on the erasure notices.
 */
const beginAgain = (union: (name: string) => string, greater: string) => `
    INSERT INTO erasures (user_id, begun_at, emails, keys) VALUES ($userId, $now, $emails, $keys)
    ON CONFLICT (user_id) DO UPDATE SET emails = ${union('emails')}, keys = ${union('keys')},
      begun_at = ${greater}(erasures.begun_at + 1, excluded.begun_at), audit_seq = 0, recorded_seq = 0, done_at = NULL`
/** Makes a statement with lists. */
const withLists = <Row = never>(sql: (list: (name: string) => string) => string) =>
  text<Row>({ sqlite: sql(LIST.sqlite), postgres: sql(LIST.postgres) })

/** The event that tells other systems that a user is gone. It has nothing but their id, and is still to be delivered. */
const KEPT_EVENT = 'user.deleted'

/** Tables whose rows of a user are removed. */
const OF_USER = [
  'challenges',
  'devices',
  'consents',
  'totps',
  'passkeys',
  'recovery_codes',
  'authorization_codes',
  'mail_requests',
  'finished_mails',
]

/** Mails and codes to an address, which name no user. */
const BY_ADDRESS = [
  ['challenges', 'address'],
  ['mail_requests', 'email'],
  ['finished_mails', 'email'],
] as const

export const ERASURES = {
  begin: text({ sqlite: beginAgain(UNION.sqlite, 'max'), postgres: beginAgain(UNION.postgres, 'greatest') }),
  due: text<{ userId: string; begunAt: number; doneAt: number | null }>(`
    SELECT user_id AS "userId", begun_at AS "begunAt", done_at AS "doneAt" FROM erasures WHERE done_at IS NULL OR done_at > $since
    ORDER BY begun_at, user_id`),
  byId: text<{
    emails: string
    keys: string
    auditSeq: number
    recordedSeq: number
    erasedRows: number
    begunAt: number
    doneAt: number | null
  }>(`
    SELECT emails, keys, audit_seq AS "auditSeq", recorded_seq AS "recordedSeq", erased_rows AS "erasedRows",
      begun_at AS "begunAt", done_at AS "doneAt"
    FROM erasures WHERE user_id = $userId`),
  record: text('UPDATE erasures SET recorded_seq = $end WHERE user_id = $userId'),
  advance: text('UPDATE erasures SET audit_seq = $auditSeq, erased_rows = erased_rows + $rows WHERE user_id = $userId'),
  complete: text(`UPDATE erasures SET done_at = $now, emails = '[]', keys = '[]' WHERE user_id = $userId`),
}

export const DATA = {
  ofUser: OF_USER.map((table) => text(`DELETE FROM ${table} WHERE user_id = $userId`)),
  byAddress: BY_ADDRESS.map(([table, column]) => ({
    find: text<{ id: string; address: string }>(`SELECT id, ${column} AS address FROM ${table} WHERE user_id IS NULL`),
    remove: withLists((list) => `DELETE FROM ${table} WHERE id IN ${list('ids')}`),
  })),
  deliveries: text(`
    DELETE FROM deliveries WHERE event_id IN (
      SELECT id FROM events WHERE user_id = $userId AND type <> '${KEPT_EVENT}')`),
  events: text(`DELETE FROM events WHERE user_id = $userId AND type <> '${KEPT_EVENT}'`),
  failures: withLists((list) => `DELETE FROM login_failures WHERE subject IN ${list('subjects')}`),
  /** A pace rule has one row for each time: the subject, a blank and the time. */
  limits: text(
    `DELETE FROM limits WHERE subject = $subject OR (subject > $subject || ' ' AND subject < $subject || '!')`,
  ),
  /** On PostgreSQL alone: a file has no such table. */
  refusedLogins: withLists((list) => `DELETE FROM refused_logins WHERE user_id = $userId OR key IN ${list('keys')}`),
}

export const AUDIT = {
  /** The number of the last row that a step looks at; null without one. */
  end: text<{ seq: number | null }>(
    `SELECT max(seq) AS seq FROM (SELECT seq FROM audit WHERE seq > $after ORDER BY seq LIMIT ${STEP}) AS step`,
  ),
  /** Rows about the user, rows of what they did, and failed logins under a name that nobody had. */
  rows: text<Record<string, string | number | Uint8Array | null>>(`
    SELECT ${CHAINED_COLUMNS} FROM audit
    WHERE seq > $after AND seq <= $end AND (
      user_id = $userId OR actor = $actor OR (user_id IS NULL AND type IN ('login.failed', 'login.paused')))
    ORDER BY seq`),
  erase: text({
    sqlite: `
      UPDATE audit SET ip = value->>1, request_id = value->>2, detail = value->>3, origin_seal = unhex(value->>4),
        detail_seal = unhex(value->>5), row_hash = unhex(value->>6)
      FROM json_each($rows) WHERE audit.seq = value->>0`,
    postgres: `
      UPDATE audit SET ip = value->>1, request_id = value->>2, detail = value->>3, origin_seal = decode(value->>4, 'hex'),
        detail_seal = decode(value->>5, 'hex'), row_hash = decode(value->>6, 'hex')
      FROM jsonb_array_elements(CAST($rows AS text)::jsonb) AS list (value)
      WHERE audit.seq = CAST(value->>0 AS bigint)`,
  }),
}
