import { decideRotation, isUsable } from '../../../services/auth/sessions/rotation.ts'
import type { Account, AuthStore, Rotation, RotationResult, Session } from '../../../services/auth/store/index.ts'
import type { AuditEvent } from '../../../services/kit/outbox/audit.ts'
import type { Body, Engine, Transaction } from '../../engine.ts'
import type { Audit, Audited } from '../audit/audit.ts'
import type { Events } from '../webhooks/events.ts'
import type { SessionEnding } from './ending.ts'
import { sessionEvents } from './events.ts'
import { STATEMENTS as statements } from './statements.ts'

/** Milliseconds by which the clocks of two nodes may differ. */
const CLOCK_SKEW = 2000

interface Parts {
  audit: Audit
  ending: SessionEnding
  events: Events
}

interface OpenCall {
  session: Session
  event: AuditEvent
  hash: Uint8Array | undefined
}

interface RotateCall {
  rotation: Rotation
  event: (type: string) => AuditEvent
}

interface RenewalCall {
  renewal: Parameters<AuthStore['renewAuthentication']>[0]
  event: AuditEvent
}

/** The writes of logins and refreshes, which are called more often than all others. */
export function sessionRotation(engine: Engine, { audit, ending, events }: Parts) {
  const sessionEvent = sessionEvents(events)
  const hasOneNode = engine.dialect === 'sqlite'

  function* openEach(tx: Transaction, calls: readonly OpenCall[]): Body<('opened' | 'account_changed')[]> {
    const accounts = yield* accountsOf(
      tx,
      calls.map(({ session }) => session.userId),
    )
    const isOpened = ({ session }: OpenCall, index: number) => isUsable(session, accounts[index], session.createdAt)
    const opened = calls.filter(isOpened)
    yield* tx.together([
      tx.runEach(
        statements.insert,
        opened.map(({ session }) => ({ ...session, refreshesSince: session.createdAt, refreshes: 0 })),
      ),
      addHashes(tx, opened),
      sessionEvent.created(
        tx,
        opened.map(({ session }) => session),
      ),
      audit.writeEvents(
        tx,
        opened.map(({ event }) => event),
      ),
    ])
    return calls.map((call, index) => (isOpened(call, index) ? 'opened' : 'account_changed'))
  }

  function* rotateEach(tx: Transaction, calls: readonly RotateCall[]): Body<RotationResult[]> {
    const stored = yield* tx.getEach(
      statements.byId,
      calls.map(({ rotation }) => ({ id: rotation.sessionId })),
    )
    const accounts = yield* accountsOf(
      tx,
      stored.map((session) => session?.userId ?? ''),
    )
    const decisions = calls.map(({ rotation }, index) => {
      const session = stored[index]
      const now = hasOneNode || !session ? rotation.now : timeOnNodes(rotation.now, session)
      return decideRotation(session, accounts[index], { ...rotation, now })
    })
    const rotated = decisions.flatMap((decision, index) =>
      'session' in decision ? [{ session: decision.session, hash: calls[index]?.rotation.hash }] : [],
    )
    yield* tx.runEach(
      statements.update,
      rotated.map(({ session }) => ({ ...session })),
    )
    // If the secret changed since the first answer, a repeated answer has another token, which is equally valid.
    yield* addHashes(tx, rotated)
    const results: RotationResult[] = []
    for (const [index, decision] of decisions.entries())
      results.push(
        decision.outcome === 'reused' ? yield* endReused(tx, stored[index], calls[index] as RotateCall) : decision,
      )
    return results
  }

  function* endReused(tx: Transaction, session: Session | undefined, { event, rotation }: RotateCall) {
    const reason = { reason: 'reuse_detected', now: rotation.now } as const
    const reused = session ? [session] : []
    const ended = yield* ending.endWithEvent(tx, reused, reason, event('session.reuse_detected'))
    return { outcome: 'reused' as const, ended }
  }

  function* renew(
    tx: Transaction,
    { event, renewal: { accessUntil, methods, now, sessionId } }: RenewalCall,
  ): Body<Audited<Awaited<ReturnType<AuthStore['renewAuthentication']>>>> {
    const stored = yield* tx.get(statements.byId, { id: sessionId })
    const [account] = yield* accountsOf(tx, [stored?.userId ?? ''])
    if (!stored || !isUsable(stored, account, now)) return { result: null, events: [] }
    const session = {
      ...stored,
      authTime: now,
      amr: [...new Set([...stored.amr, ...methods])],
      accessUntil: Math.max(stored.accessUntil, accessUntil),
    }
    yield* tx.run(statements.update, session)
    return { result: { session, account }, events: [event] }
  }

  const open = engine.grouped(openEach, ({ session }) => session.id)
  const rotate = engine.grouped(rotateEach, ({ rotation }) => rotation.sessionId)
  const renewOne = audit.grouped(renew, ({ renewal }) => renewal.sessionId)

  return {
    openSession: (session: Session, event: AuditEvent, hash?: Uint8Array) => open({ session, event, hash }),
    renewAuthentication: (renewal: RenewalCall['renewal'], event: AuditEvent) => renewOne({ renewal, event }),
    rotateSession: (rotation: Rotation, event: (type: string) => AuditEvent) => rotate({ rotation, event }),
  } satisfies Partial<AuthStore>
}

/** Reads the account of each user; undefined for one who does not exist or was deleted. */
function* accountsOf(tx: Transaction, userIds: readonly string[]): Body<(Account | undefined)[]> {
  const rows = yield* tx.getEach(
    statements.account,
    userIds.map((userId) => ({ userId })),
  )
  return rows.map((row) => (row && !row.deleted ? row : undefined))
}

/** Adds the hashes of tokens of v0. */
function* addHashes(
  tx: Transaction,
  tokens: readonly { session: Session; hash: Uint8Array | undefined }[],
): Body<void> {
  yield* tx.runEach(
    statements.addHash,
    tokens.flatMap(({ hash, session: { counter, id } }) => (hash ? [{ hash, sessionId: id, counter }] : [])),
  )
}

/**
 * Gives the time of a rotation where several nodes rotate: if the clock of another node, which rotated last, is slightly
 * ahead, the time of its rotation. Otherwise the session would end as if the clock had been set back.
 */
function timeOnNodes(now: number, { rotatedAt }: Session): number {
  return rotatedAt - now <= CLOCK_SKEW ? Math.max(now, rotatedAt) : now
}
