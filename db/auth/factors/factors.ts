import { REVOCATION_MARGIN } from '../../../services/auth/sessions/ending.ts'
import { isUsable } from '../../../services/auth/sessions/rotation.ts'
import type {
  AuthStore,
  Enrolment,
  EnrolmentResult,
  FactorsOfUser,
  Passkey,
  PasskeyLogin,
  SecondFactorMethod,
  Totp,
} from '../../../services/auth/store/index.ts'
import type { AuditEvent } from '../../../services/kit/outbox/audit.ts'
import type { EventData } from '../../../services/kit/schema/events.ts'
import type { Body, Engine, Transaction } from '../../engine.ts'
import { writeInBatches } from '../../write-in-batches.ts'
import type { Audit } from '../audit/audit.ts'
import type { Facts } from '../feed/facts.ts'
import { STATEMENTS as sessionStatements } from '../sessions/statements.ts'
import type { Events } from '../webhooks/events.ts'
import { STATEMENTS as statements } from './statements.ts'

export type Factors = ReturnType<typeof factorStore>

interface Parts {
  audit: Audit
  events: Events
  facts: Facts
}

/** The relying party of all passkeys: a browser offers none that was made for another one. */
const RP_ID = 'passkey_rp_id'

/** Second factors: apps that show codes, passkeys, recovery codes. */
export function factorStore(engine: Engine, { audit, events, facts }: Parts) {
  function* countsOf(tx: Transaction, userId: string) {
    const { passkey, recovery, totp } = (yield* tx.get(statements.methods, { userId })) ?? NONE
    return { totp: Number(totp), passkey: Number(passkey), recovery: Number(recovery) }
  }

  function* writeEvent<Type extends FactorEvent>(tx: Transaction, type: Type, about: Subject, data: EventData[Type]) {
    if (events.isSubscribed(type))
      yield* events.writeEvents(tx, [{ id: Bun.randomUUIDv7(), type, ...about, data: { ...data } }])
  }

  /**
   * Reads what adds a factor. @param has how many factors the user has @returns the session with the methods that it gains;
   * null: a login that still stands; otherwise why nothing may be added
   */
  function* enrolling(tx: Transaction, { by, now, userId }: Enrolment, has: number) {
    const account = yield* tx.get(sessionStatements.account, { userId })
    if (!account || account.deleted || account.status !== 'active') return 'gone'
    // A login that waits for an enrolment has shown no factor: it must not pass one that was added meanwhile.
    if ('version' in by) return has === 0 && account.sessionsFrom <= by.version ? null : 'gone'
    const session = yield* tx.get(sessionStatements.byId, { id: by.sessionId })
    if (!session || session.userId !== userId || !isUsable(session, account, now)) return 'gone'
    // Checked before, too; but the user may have got their first factor since, by another session.
    if (has > 0 && by.needsFactor && !session.amr.includes('mfa')) return 'unproved'
    return { ...session, amr: [...new Set([...session.amr, ...by.methods])] }
  }

  function* addFactor(tx: Transaction, { factor, now, userId }: Enrolment): Body<EnrolmentResult> {
    if (factor.kind === 'totp') {
      const { id, step } = factor
      return (yield* tx.run(statements.confirm, { id, userId, now, step })) === 1 ? 'added' : 'gone'
    }
    if ((yield* useChallenge(tx, factor.challenge)) === 0) return 'replayed'
    if ((yield* tx.run(statements.addPasskey, passkeyRow(factor.passkey))) === 0) return 'taken'
    if ((yield* facts.readFact(tx, RP_ID)) === null) yield* facts.writeFact(tx, RP_ID, factor.rpId)
    return 'added'
  }

  function* replaceCodes(tx: Transaction, userId: string, hashes: readonly Uint8Array[], createdAt: number) {
    yield* tx.run(statements.removeCodes, { userId })
    const rows = hashes.map((hash) => ({ hash: Buffer.from(hash), userId, createdAt }))
    yield* tx.runEach(statements.addCode, rows)
  }

  /** Removes what stands for no factor any more. */
  function* afterRemoval(tx: Transaction, userId: string): Body<void> {
    const { passkey, totp } = yield* countsOf(tx, userId)
    if (totp + passkey === 0) yield* tx.run(statements.removeCodes, { userId })
  }

  /** Removes the factors of a user, in a transaction that also changes their account. @returns how many */
  function* removeAll(tx: Transaction, userId: string, since: number, at: number): Body<number> {
    const [totps, passkeys] = yield* tx.together([
      tx.all(statements.totpsOf, { userId }),
      tx.all(statements.passkeysOf, { userId }),
      tx.run(statements.removeTotpsSince, { userId, since }),
      tx.run(statements.removePasskeysSince, { userId, since }),
      // Whoever added a factor may have made recovery codes as well, and must not keep them.
      tx.run(statements.removeCodesSince, { userId, since }),
    ])
    yield* afterRemoval(tx, userId)
    const removed = [...totps, ...passkeys].filter(({ createdAt }) => createdAt >= since)
    for (const factor of removed)
      yield* writeEvent(tx, 'factor.removed', { userId, at }, { factor_id: factor.id, kind: kindOf(factor) })
    return removed.length
  }

  function* enrol(tx: Transaction, enrolment: Enrolment, event: AuditEvent): Body<EnrolmentResult> {
    const { factor, most, now, recoveryCodes, userId } = enrolment
    const before = yield* countsOf(tx, userId)
    const has = before.totp + before.passkey
    if (has >= most) return 'too_many'
    const session = yield* enrolling(tx, enrolment, has)
    if (typeof session === 'string') return session
    const added = yield* addFactor(tx, enrolment)
    if (added !== 'added') return added
    if (session) yield* tx.run(sessionStatements.update, session)
    const isFirst = has === 0
    if (isFirst) yield* replaceCodes(tx, userId, recoveryCodes, now)
    const id = factor.kind === 'totp' ? factor.id : factor.passkey.id
    yield* writeEvent(tx, 'factor.added', { userId, at: now }, { factor_id: id, kind: factor.kind })
    yield* audit.writeEvents(tx, [event])
    return isFirst ? 'first' : 'added'
  }

  return {
    removeAll,

    async secondFactorMethods(userId: string): Promise<SecondFactorMethod[]> {
      const counts = (await engine.get(statements.methods, { userId })) ?? NONE
      const [totp, passkey, recovery] = [Number(counts.totp), Number(counts.passkey), Number(counts.recovery)]
      if (totp + passkey === 0) return []
      return [
        ...(totp > 0 ? (['totp'] as const) : []),
        ...(recovery > 0 ? (['recovery_code'] as const) : []),
        ...(passkey > 0 ? (['passkey'] as const) : []),
      ]
    },
    factorsOf: (userId: string): Promise<FactorsOfUser> =>
      engine.read(function* (tx) {
        return {
          totps: yield* tx.all(statements.totpsOf, { userId }),
          passkeys: yield* tx.all(statements.passkeysOf, { userId }),
          recoveryCodes: Number((yield* tx.get(statements.codesOf, { userId }))?.total ?? 0),
        }
      }),
    async startTotp(totp: Totp) {
      await engine.write(function* (tx) {
        yield* tx.run(statements.removePending, { userId: totp.userId })
        yield* tx.run(statements.addTotp, { ...totp, sealedSecret: Buffer.from(totp.sealedSecret) })
      })
    },
    pendingTotp: async (userId: string, id: string, now: number) =>
      (await engine.get(statements.pending, { userId, id, now })) ?? null,
    enrol: (enrolment: Enrolment, event: AuditEvent) => engine.write((tx) => enrol(tx, enrolment, event)),
    async importTotp(totp: Totp, event: AuditEvent) {
      await engine.write(function* (tx) {
        yield* tx.run(statements.addTotp, { ...totp, sealedSecret: Buffer.from(totp.sealedSecret) })
        yield* writeEvent(
          tx,
          'factor.added',
          { userId: totp.userId, at: event.at },
          { factor_id: totp.id, kind: 'totp' },
        )
        yield* audit.writeEvents(tx, [event])
      })
    },
    useTotp: async (id: string, step: number, now: number) =>
      (await engine.write((tx) => tx.run(statements.useTotp, { id, step, now }))) === 1,
    useRecoveryCode: (userId: string, hash: Uint8Array, event: AuditEvent) =>
      engine.write(function* (tx) {
        if ((yield* tx.run(statements.useCode, { userId, hash: Buffer.from(hash) })) === 0) return false
        const remaining = { left: Number((yield* tx.get(statements.codesOf, { userId }))?.total ?? 0) }
        yield* writeEvent(tx, 'recovery_code.used', { userId, at: event.at }, remaining)
        yield* audit.writeEvents(tx, [{ ...event, detail: { ...event.detail, ...remaining } }])
        return true
      }),
    passkeyByCredential: async (credentialId: Uint8Array) =>
      (await engine.get(statements.byCredential, { credentialId: Buffer.from(credentialId) })) ?? null,
    usePasskey: ({ challenge, ...use }: PasskeyLogin) =>
      engine.write(function* (tx) {
        if ((yield* useChallenge(tx, challenge)) === 0) return false
        return (yield* tx.run(statements.usePasskey, { ...use, backedUp: use.backedUp ? 1 : 0 })) === 1
      }),
    replaceRecoveryCodes: (userId: string, hashes: readonly Uint8Array[], now: number, event: AuditEvent) =>
      engine.write(function* (tx) {
        const { passkey, totp } = yield* countsOf(tx, userId)
        if (totp + passkey === 0) return false
        yield* replaceCodes(tx, userId, hashes, now)
        yield* audit.writeEvents(tx, [event])
        return true
      }),
    renameFactor: (userId: string, id: string, name: string) =>
      engine.write(function* (tx) {
        const totp = yield* tx.run(statements.renameTotp, { userId, id, name })
        return totp + (yield* tx.run(statements.renamePasskey, { userId, id, name })) === 1
      }),
    removeFactor: (userId: string, id: string, needsPasskey: boolean, event: AuditEvent) =>
      engine.write(function* (tx) {
        const passkeys = yield* tx.all(statements.passkeysOf, { userId })
        const isPasskey = passkeys.some((passkey) => passkey.id === id)
        const isTotp = (yield* tx.all(statements.totpsOf, { userId })).some((totp) => totp.id === id)
        if (!isPasskey && !isTotp) return 'unknown'
        if (isPasskey && needsPasskey && passkeys.length === 1) return 'last_way_in'
        yield* tx.run(isPasskey ? statements.removePasskey : statements.removeTotp, { userId, id })
        yield* afterRemoval(tx, userId)
        const kind = isPasskey ? 'passkey' : 'totp'
        yield* writeEvent(tx, 'factor.removed', { userId, at: event.at }, { factor_id: id, kind })
        yield* audit.writeEvents(tx, [{ ...event, detail: { ...event.detail, kind } }])
        return kind
      }),
    removeFactors: (userId: string, since: number, event: AuditEvent) =>
      engine.write(function* (tx) {
        const removed = yield* removeAll(tx, userId, since, event.at)
        if (removed > 0) yield* audit.writeEvents(tx, [{ ...event, detail: { ...event.detail, factors: removed } }])
        return removed
      }),
    sealedTotps: (after: string, limit: number) => engine.all(statements.sealed, { after, limit }),
    async resealTotp(id: string, sealedSecret: Uint8Array) {
      await engine.write((tx) => tx.run(statements.reseal, { id, sealedSecret: Buffer.from(sealedSecret) }))
    },
    async forgetFactors(now: number) {
      await writeInBatches(engine, (tx) => tx.run(statements.forgetPending, { now }))
      // Once a clock that is ahead is set back, a challenge that was used would be valid again, and so would an assertion of a client.
      const before = now - REVOCATION_MARGIN
      await writeInBatches(engine, (tx) => tx.run(statements.forgetUsed, { before }))
    },
  } satisfies Partial<AuthStore> & Record<string, unknown>
}

const NONE = { totp: 0, passkey: 0, recovery: 0 }

type FactorEvent = 'factor.added' | 'factor.removed' | 'recovery_code.used'
/** The user of an event, and when it happened, in milliseconds since the epoch. */
interface Subject {
  userId: string
  at: number
}

function useChallenge(tx: Transaction, { expiresAt, hash }: PasskeyLogin['challenge']): Body<number> {
  return tx.run(statements.useChallenge, { hash: Buffer.from(hash), expiresAt })
}

function passkeyRow(passkey: Passkey) {
  const { credentialId, publicKey } = passkey
  return { ...passkey, credentialId: Buffer.from(credentialId), publicKey: Buffer.from(publicKey) }
}

function kindOf(factor: object): 'totp' | 'passkey' {
  return 'credentialId' in factor ? 'passkey' : 'totp'
}
