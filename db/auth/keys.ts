import { asc, eq, sql } from 'drizzle-orm'
import type { AuthStore, StoredKey } from '../../services/auth/store/index.ts'
import { InternalError } from '../../services/kit/log.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import { type Body, built, type Engine, type Transaction } from '../engine.ts'
import { holdsLease } from '../nodes.ts'
import { placeholders } from '../placeholders.ts'
import { signingKeys } from '../schema/auth.ts'
import type { Audit } from './audit/audit.ts'
import type { Feed } from './feed/revocations.ts'
import { ID_TOKEN_ALGS } from './oauth/clients.ts'

const kid = sql.placeholder('kid')

const statements = {
  all: built((db) => db.select().from(signingKeys).orderBy(asc(signingKeys.createdAt))),
  insert: built((db) => db.insert(signingKeys).values(placeholders(signingKeys))),
  retire: built((db) =>
    db
      .update(signingKeys)
      .set({ status: 'retiring', goneAt: sql`${sql.placeholder('goneAt')}` })
      .where(eq(signingKeys.kid, kid)),
  ),
  activate: built((db) =>
    db.update(signingKeys).set({ status: 'active', goneAt: null }).where(eq(signingKeys.kid, kid)),
  ),
  reseal: built((db) =>
    db
      .update(signingKeys)
      .set({ sealedPrivateKey: sql`${sql.placeholder('sealed')}` })
      .where(eq(signingKeys.kid, kid)),
  ),
  remove: built((db) => db.delete(signingKeys).where(eq(signingKeys.kid, kid)).returning({ kid: signingKeys.kid })),
}

/** The key ring. Each change has an entry in the feed, so that callers can wait until all subscribers acknowledged it. */
export function keyStore(engine: Engine, { audit, feed }: { audit: Audit; feed: Feed }) {
  function* announce(tx: Transaction, subject: string, until: number): Body<number> {
    return (yield* feed.writeRevocations(tx, [{ kind: 'keys', subject, version: 0, until }])).seq
  }

  function* assertHeld(tx: Transaction, lease: string | undefined): Body<void> {
    if (lease !== undefined && !(yield* holdsLease(engine, tx, lease)))
      throw new InternalError('Another node has taken over the rotation of keys')
  }

  function* stored(tx: Transaction, id: string): Body<StoredKey | undefined> {
    return (yield* tx.all(statements.all)).find((key) => key.kid === id)
  }

  return {
    signingKeys: (): Promise<StoredKey[]> => engine.all(statements.all),
    addSigningKey: (key: StoredKey, event: AuditEvent | null, lease?: string) =>
      engine.write(function* (tx) {
        yield* assertHeld(tx, lease)
        const keys = yield* tx.all(statements.all)
        if (keys.some(({ alg, status }) => status === 'pending' && alg === key.alg)) return null
        yield* tx.run(statements.insert, { ...key, sealedPrivateKey: Buffer.from(key.sealedPrivateKey) })
        const seq = yield* announce(tx, key.kid, key.createdAt)
        if (event) yield* audit.writeEvents(tx, [event])
        return seq
      }),
    addFirstSigningKey: (key: StoredKey, event: AuditEvent | null) =>
      engine.write(function* (tx): Body<number | null> {
        const active = (yield* tx.all(statements.all)).filter(({ status }) => status === 'active')
        const hasAccess = ({ forAccessTokens }: StoredKey) => forAccessTokens
        if (active.some(({ alg }) => alg === key.alg) || (hasAccess(key) && active.some(hasAccess))) return null
        yield* tx.run(statements.insert, { ...key, sealedPrivateKey: Buffer.from(key.sealedPrivateKey) })
        const seq = yield* announce(tx, key.kid, key.createdAt)
        if (event) yield* audit.writeEvents(tx, [event])
        return seq
      }),
    activateSigningKey: (
      id: string,
      times: { now: number; goneAt: number },
      event: AuditEvent | null,
      lease?: string,
    ) =>
      engine.write(function* (tx) {
        yield* assertHeld(tx, lease)
        const keys = yield* tx.all(statements.all)
        const next = keys.find((key) => key.kid === id)
        // Without this, no key would be active.
        if (next?.status !== 'pending') return null
        const previous = keys.find(({ alg, status }) => status === 'active' && alg === next.alg)
        if (previous) yield* tx.run(statements.retire, { kid: previous.kid, goneAt: times.goneAt })
        yield* tx.run(statements.activate, { kid: id })
        const seq = yield* announce(tx, id, times.now)
        if (event) yield* audit.writeEvents(tx, [event])
        return seq
      }),
    retireSigningKey: (id: string, goneAt: number, event: AuditEvent | null, lease?: string) =>
      engine.write(function* (tx): Body<boolean> {
        yield* assertHeld(tx, lease)
        const active = (yield* tx.all(statements.all)).filter(({ status }) => status === 'active')
        const key = active.find(({ kid }) => kid === id)
        if (!key || !active.some(({ forAccessTokens, kid }) => forAccessTokens && kid !== id)) return false
        // Another node may have added a client meanwhile.
        if ((yield* tx.all(ID_TOKEN_ALGS)).some(({ alg }) => alg === key.alg)) return false
        yield* tx.run(statements.retire, { kid: id, goneAt })
        yield* announce(tx, id, goneAt)
        if (event) yield* audit.writeEvents(tx, [event])
        return true
      }),
    removeSigningKey: (id: string, until: number, event: AuditEvent | null) =>
      engine.write(function* (tx): Body<number | null | 'active'> {
        if ((yield* stored(tx, id))?.status === 'active') return 'active'
        if (!(yield* tx.get(statements.remove, { kid: id }))) return null
        const seq = yield* announce(tx, id, until)
        if (event) yield* audit.writeEvents(tx, [event])
        return seq
      }),
    async resealSigningKey(id: string, sealedPrivateKey: Uint8Array) {
      await engine.write((tx) => tx.run(statements.reseal, { kid: id, sealed: Buffer.from(sealedPrivateKey) }))
    },
  } satisfies Partial<AuthStore>
}
