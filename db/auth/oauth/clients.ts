import { and, asc, desc, eq, isNotNull, or, sql } from 'drizzle-orm'
import { revokedUntil } from '../../../services/auth/sessions/ending.ts'
import type { AuthStore, Client, ClientChange, Ended } from '../../../services/auth/store/index.ts'
import type { AuditEvent } from '../../../services/kit/outbox/audit.ts'
import type { TokenAlg } from '../../../services/kit/tokens/algorithms.ts'
import { EVERY_VERSION, type Revocation } from '../../../services/kit/tokens/revocations.ts'
import { COUNT, countOf } from '../../count.ts'
import { type Body, built, type Engine, type Transaction } from '../../engine.ts'
import { placeholders } from '../../placeholders.ts'
import { clientSecrets, clients, usedChallenges } from '../../schema/auth.ts'
import type { Audit } from '../audit/audit.ts'
import type { Feed } from '../feed/revocations.ts'

/** The secrets of a client: the one in use, and its successor. */
const SECRETS_MAX = 2

const placeholder = sql.placeholder

/**
 * The algorithms that clients use, for ID tokens, or for logout tokens alone: a client that has no users any more may have had
 * some.
 */
export const ID_TOKEN_ALGS = built((db) =>
  db
    .selectDistinct({ alg: clients.idTokenAlg })
    .from(clients)
    .where(
      and(
        eq(clients.status, 'active'),
        or(sql`${clients.grantTypes} LIKE '%"authorization_code"%'`, isNotNull(clients.backchannelLogoutUri)),
      ),
    )
    .orderBy(asc(clients.idTokenAlg)),
)

const STATEMENTS = {
  all: built((db) => db.select().from(clients).orderBy(asc(clients.createdAt), asc(clients.id))),
  one: built((db) =>
    db
      .select()
      .from(clients)
      .where(eq(clients.id, placeholder('id'))),
  ),
  named: built((db) =>
    db
      .select({ id: clients.id })
      .from(clients)
      .where(eq(clients.name, placeholder('name'))),
  ),
  count: built((db) => db.select(COUNT).from(clients)),
  insert: built((db) => db.insert(clients).values(placeholders(clients))),
  update: built((db) =>
    db
      .update(clients)
      .set(placeholders(clients, ['id', 'createdAt']))
      .where(eq(clients.id, placeholder('id'))),
  ),
  remove: built((db) => db.delete(clients).where(eq(clients.id, placeholder('id')))),
  secrets: built((db) =>
    db
      .select()
      .from(clientSecrets)
      .where(eq(clientSecrets.clientId, placeholder('clientId')))
      .orderBy(desc(clientSecrets.createdAt), asc(clientSecrets.hash)),
  ),
  useAssertion: built((db) => db.insert(usedChallenges).values(placeholders(usedChallenges)).onConflictDoNothing()),
  insertSecret: built((db) => db.insert(clientSecrets).values(placeholders(clientSecrets))),
  removeSecret: built((db) =>
    db
      .delete(clientSecrets)
      .where(and(eq(clientSecrets.clientId, placeholder('clientId')), eq(clientSecrets.hash, placeholder('hash')))),
  ),
  removeSecrets: built((db) => db.delete(clientSecrets).where(eq(clientSecrets.clientId, placeholder('clientId')))),
}

/** The applications that use OAuth, and their secrets. A change that ends tokens has an entry in the feed. */
export function clientStore(engine: Engine, { audit, feed }: { audit: Audit; feed: Feed }) {
  function* isTaken(tx: Transaction, { id, name }: Client): Body<boolean> {
    const other = yield* tx.get(STATEMENTS.named, { name })
    return other !== undefined && other.id !== id
  }

  /** Revokes the tokens of a client that are older than a version of it. */
  const revocation = (subject: string, version: number, lastTokenEnds: number): Revocation => ({
    kind: 'user',
    subject,
    version,
    until: revokedUntil(lastTokenEnds),
  })

  return {
    clients: (): Promise<Client[]> => engine.all(STATEMENTS.all),
    client: async (id: string): Promise<Client | null> => (await engine.get(STATEMENTS.one, { id })) ?? null,
    idTokenAlgs: async (): Promise<TokenAlg[]> => (await engine.all(ID_TOKEN_ALGS)).map(({ alg }) => alg),
    addClient: (client: Client, secretHash: Uint8Array | null, most: number, event: AuditEvent) =>
      engine.write(function* (tx): Body<'added' | 'name_taken' | 'too_many'> {
        if (yield* isTaken(tx, client)) return 'name_taken'
        if (countOf(yield* tx.get(STATEMENTS.count)) >= most) return 'too_many'
        yield* tx.run(STATEMENTS.insert, { ...client })
        if (secretHash) {
          const { createdAt, id: clientId } = client
          yield* tx.run(STATEMENTS.insertSecret, { hash: Buffer.from(secretHash), clientId, createdAt })
        }
        yield* audit.writeEvents(tx, [event])
        return 'added'
      }),
    changeClient: (
      id: string,
      change: (client: Client) => { client: Client; endsTokens: boolean; endsSecrets: boolean },
      lastTokenEnds: number,
      event: AuditEvent,
    ) =>
      engine.write(function* (tx): Body<ClientChange> {
        const stored = yield* tx.get(STATEMENTS.one, { id })
        if (!stored) return { outcome: 'not_found' }
        const { client, endsSecrets, endsTokens } = change(stored)
        if (yield* isTaken(tx, client)) return { outcome: 'name_taken' }
        const version = stored.version + (endsTokens ? 1 : 0)
        const isDisabled = stored.status === 'active' && client.status === 'disabled'
        const changed = { ...client, version, grantsFrom: isDisabled ? version : stored.grantsFrom }
        yield* tx.run(STATEMENTS.update, changed)
        if (endsSecrets) yield* tx.run(STATEMENTS.removeSecrets, { clientId: id })
        const ended = yield* feed.writeRevocations(tx, endsTokens ? [revocation(id, version, lastTokenEnds)] : [])
        yield* audit.writeEvents(tx, [event])
        return { outcome: 'changed', client: changed, ended }
      }),
    removeClient: (id: string, lastTokenEnds: number, event: AuditEvent) =>
      engine.write(function* (tx): Body<Ended | null> {
        if ((yield* tx.run(STATEMENTS.remove, { id })) === 0) return null
        yield* tx.run(STATEMENTS.removeSecrets, { clientId: id })
        const ended = yield* feed.writeRevocations(tx, [revocation(id, EVERY_VERSION, lastTokenEnds)])
        yield* audit.writeEvents(tx, [event])
        return ended
      }),
    clientSecrets: async (clientId: string): Promise<Uint8Array[]> =>
      (await engine.all(STATEMENTS.secrets, { clientId })).map(({ hash }) => hash),
    addClientSecret: (
      { clientId, createdAt, hash }: { clientId: string; hash: Uint8Array; createdAt: number },
      isOnlyOne: boolean,
      event: AuditEvent,
    ) =>
      engine.write(function* (tx): Body<boolean> {
        if (!(yield* tx.get(STATEMENTS.one, { id: clientId }))) return false
        const others = yield* tx.all(STATEMENTS.secrets, { clientId })
        for (const { hash: other } of others.slice(isOnlyOne ? 0 : SECRETS_MAX - 1))
          yield* tx.run(STATEMENTS.removeSecret, { clientId, hash: other })
        // The order must be that of the calls, also within a millisecond and when the clock is set back.
        const latest = Math.max(createdAt, (others[0]?.createdAt ?? 0) + 1)
        yield* tx.run(STATEMENTS.insertSecret, { clientId, createdAt: latest, hash: Buffer.from(hash) })
        yield* audit.writeEvents(tx, [event])
        return true
      }),
    useAssertion: (hash: Uint8Array, expiresAt: number) =>
      engine.write(function* (tx): Body<boolean> {
        return (yield* tx.run(STATEMENTS.useAssertion, { hash: Buffer.from(hash), expiresAt })) === 1
      }),
    revokeClientToken: (jti: string, until: number, event: AuditEvent) =>
      engine.write(function* (tx): Body<Ended> {
        const ended = yield* feed.writeRevocations(tx, [{ kind: 'session', subject: jti, version: 0, until }])
        yield* audit.writeEvents(tx, [event])
        return ended
      }),
  } satisfies Partial<AuthStore>
}
