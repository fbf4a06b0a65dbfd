import { randomBytes } from 'node:crypto'
import { and, eq, gt, gte, inArray, isNull, lt, lte, ne, or, sql } from 'drizzle-orm'
import { ONLY_ONE } from '../../services/auth/challenges/only-one.ts'
import type {
  AuthStore,
  Challenge,
  ChallengeKey,
  ChallengePurpose,
  Device,
  DeviceClient,
  Issue,
  LoginPurpose,
  MailRequest,
} from '../../services/auth/store/index.ts'
import { MINUTE } from '../../services/kit/clock.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import type { EventData } from '../../services/kit/schema/events.ts'
import { type Body, built, dynamic, type Engine, type Transaction, text } from '../engine.ts'
import { placeholders } from '../placeholders.ts'
import { challenges, devices, mailRequests, usedChallenges } from '../schema/auth.ts'
import { BATCH, writeInBatches } from '../write-in-batches.ts'
import { hasOneOf } from './account-roles.ts'
import type { Audit } from './audit.ts'
import type { Events } from './events.ts'
import { addMail } from './mail-requests.ts'

/** Milliseconds after which a challenge can be taken again, if the process that took it never finished. */
const TAKEN_FOR = MINUTE

/** Writes as much as a try does, and leaves nothing. */
function* writeDecoy(tx: Transaction): Body<void> {
  const hash = randomBytes(32)
  yield* tx.run(statements.addDecoy, { hash, expiresAt: 0 })
  yield* tx.run(statements.removeDecoy, { hash })
}

/** Codes and links in mails, and the devices that codes confirmed. */
export function challengeStore(engine: Engine, { audit, events }: { audit: Audit; events: Events }) {
  return {
    addChallenge: (challenge: Challenge, mail: MailRequest, withoutRoles: readonly string[] = []) =>
      engine.write(function* (tx) {
        const { id, purpose, userId } = challenge
        if (yield* hasOneOf(tx, withoutRoles, userId)) return false
        if (!(yield* addMail(engine, tx, mail))) return true
        if (userId !== null && ONLY_ONE.includes(purpose)) yield* tx.run(statements.voidOthers, { userId, purpose, id })
        yield* tx.run(statements.insert, challengeRow(challenge))
        return true
      }),
    issueChallenge: (issue: Issue, now: number, event: AuditEvent | null) =>
      engine.write(function* (tx) {
        const { isOnlyOne, mailId, userId } = issue
        const isFirst = (yield* tx.get(statements.claim, { mailId, userId, now })) !== undefined
        const row = yield* tx.get(statements.ofMail, { mailId })
        if (isFirst && row) {
          const { purpose, requestedAt } = row
          const isUseless = isOnlyOne && (yield* tx.get(statements.later, { userId, purpose, requestedAt, now }))
          if (!isUseless) {
            if (isOnlyOne) yield* tx.run(statements.voidOthers, { userId, purpose, id: row.id })
            yield* tx.run(statements.issue, { ...issue, tokenHash: Buffer.from(issue.tokenHash) })
          }
        }
        const issued = yield* tx.get(statements.ofMail, { mailId })
        if (!issued?.tokenHash || issued.expiresAt <= now) return null
        if (event) yield* audit.writeEvents(tx, [event])
        return issued
      }),
    tryCode: (id: string, purpose: ChallengePurpose, most: number, now: number) =>
      engine.write(function* (tx) {
        const challenge = yield* tx.get(statements.tryCode, { id, purpose, most, now, ...abandoned(now) })
        // A commit that writes nothing is quicker: the time would show whether the challenge can still be tried.
        if (!challenge) yield* writeDecoy(tx)
        return challenge ?? null
      }),
    takeChallenge: (key: ChallengeKey, purpose: ChallengePurpose, now: number) =>
      engine.write(function* (tx) {
        const values = { purpose, now, ...abandoned(now) }
        const challenge =
          'id' in key
            ? yield* tx.get(statements.takeById, { ...values, id: key.id })
            : yield* tx.get(statements.takeByToken, { ...values, tokenHash: Buffer.from(key.tokenHash) })
        return challenge ?? null
      }),
    async openChallenge(challenge: Challenge) {
      await engine.write((tx) => tx.run(statements.insert, challengeRow(challenge)))
    },
    openedChallenge: async (id: string, purpose: LoginPurpose, now: number) =>
      (await engine.get(statements.opened, { id, purpose, now })) ?? null,
    hasChallenge: async (id: string) => (await engine.get(statements.byId, { id })) !== undefined,
    async returnChallenge(id: string) {
      await engine.write((tx) => tx.run(statements.giveBack, { id }))
    },
    async finishChallenge(id: string, event: AuditEvent | null) {
      await engine.write(function* (tx) {
        yield* tx.run(statements.remove, { id })
        if (event) yield* audit.writeEvents(tx, [event])
      })
    },
    async voidChallenges(userId: string, purposes: readonly ChallengePurpose[], since = 0) {
      await engine.write((tx) => tx.run(voiding(userId, purposes, since)))
    },
    latestChallenge: async (userId: string, purpose: ChallengePurpose, now: number) =>
      (await engine.get(statements.latest, { userId, purpose, now })) ?? null,
    async forgetChallenges(now: number) {
      await writeInBatches(engine, (tx) => tx.run(statements.forget, { now }))
      await writeInBatches(engine, (tx) => tx.run(statements.forgetDevices, { now }))
    },

    async addDevice(device: Device, { ip, userAgent }: DeviceClient, event: AuditEvent) {
      await engine.write(function* (tx) {
        const { createdAt, id, tokenHash, userId } = device
        yield* tx.run(statements.addDevice, { ...device, tokenHash: Buffer.from(tokenHash) })
        if (events.isSubscribed('device.confirmed')) {
          const data = { device_id: id, ip, user_agent: userAgent } satisfies EventData['device.confirmed']
          const published = { id: Bun.randomUUIDv7(), type: 'device.confirmed', at: createdAt, userId, data } as const
          yield* events.writeEvents(tx, [published])
        }
        yield* audit.writeEvents(tx, [event])
      })
    },
    deviceOf: async (userId: string, tokenHash: Uint8Array, now: number) =>
      (await engine.get(statements.deviceOf, { userId, tokenHash: Buffer.from(tokenHash), now })) ?? null,
    async removeDevices(userId: string) {
      await engine.write((tx) => tx.run(statements.removeDevices, { userId }))
    },
  } satisfies Partial<AuthStore>
}

/** Deletes challenges of a user. A change of their account does it in its own transaction. */
export function voiding(userId: string, purposes: readonly ChallengePurpose[], since = 0) {
  return dynamic((db) =>
    db
      .delete(challenges)
      .where(
        and(
          eq(challenges.userId, userId),
          inArray(challenges.purpose, [...purposes]),
          gte(challenges.requestedAt, since),
        ),
      ),
  )
}

/** Deletes what would verify another address of a user than their current one, should they take it again. */
export function voidingVerifications(userId: string, email: string) {
  return dynamic((db) =>
    db
      .delete(challenges)
      .where(
        and(eq(challenges.userId, userId), eq(challenges.purpose, 'email_verification'), ne(challenges.address, email)),
      ),
  )
}

const abandoned = (now: number) => ({ abandonedBefore: now - TAKEN_FOR })
const challengeRow = (challenge: Challenge) => ({
  ...challenge,
  tokenHash: challenge.tokenHash && Buffer.from(challenge.tokenHash),
})

const { placeholder } = sql
const byId = eq(challenges.id, placeholder('id'))
const ofUser = eq(challenges.userId, placeholder('userId'))
const ofPurpose = eq(challenges.purpose, placeholder('purpose'))
const unexpired = gt(challenges.expiresAt, placeholder('now'))
const free = or(isNull(challenges.takenAt), lt(challenges.takenAt, placeholder('abandonedBefore')))
const usable = and(ofPurpose, unexpired, free)
const takenNow = { takenAt: sql`${placeholder('now')}` }

const statements = {
  insert: built((db) => db.insert(challenges).values(placeholders(challenges)).onConflictDoNothing()),
  claim: built((db) =>
    db
      .update(mailRequests)
      // Whoever requested the mail may not have known whom it is for.
      .set({ linkAt: sql`${placeholder('now')}`, userId: sql`${placeholder('userId')}` })
      .where(and(eq(mailRequests.id, placeholder('mailId')), isNull(mailRequests.linkAt)))
      .returning({ id: mailRequests.id }),
  ),
  ofMail: built((db) =>
    db
      .select()
      .from(challenges)
      .where(eq(challenges.mailId, placeholder('mailId'))),
  ),
  later: built((db) =>
    db
      .select({ id: challenges.id })
      .from(challenges)
      .where(
        and(
          ofUser,
          ofPurpose,
          gt(challenges.requestedAt, placeholder('requestedAt')),
          // A future time was set by a clock that ran ahead: it must not block what was requested since.
          lte(challenges.requestedAt, placeholder('now')),
        ),
      )
      .limit(1),
  ),
  voidOthers: built((db) => db.delete(challenges).where(and(ofUser, ofPurpose, ne(challenges.id, placeholder('id'))))),
  issue: built((db) =>
    db
      .update(challenges)
      .set({
        userId: sql`${placeholder('userId')}`,
        tokenHash: sql`${placeholder('tokenHash')}`,
        expiresAt: sql`${placeholder('expiresAt')}`,
      })
      .where(eq(challenges.mailId, placeholder('mailId'))),
  ),
  tryCode: built((db) =>
    db
      .update(challenges)
      .set({ tries: sql`${challenges.tries} + 1` })
      .where(
        and(byId, usable, gt(challenges.codeExpiresAt, placeholder('now')), lt(challenges.tries, placeholder('most'))),
      )
      .returning(),
  ),
  addDecoy: built((db) => db.insert(usedChallenges).values(placeholders(usedChallenges))),
  removeDecoy: built((db) => db.delete(usedChallenges).where(eq(usedChallenges.hash, placeholder('hash')))),
  takeById: built((db) => db.update(challenges).set(takenNow).where(and(byId, usable)).returning()),
  takeByToken: built((db) =>
    db
      .update(challenges)
      .set(takenNow)
      .where(and(eq(challenges.tokenHash, placeholder('tokenHash')), usable))
      .returning(),
  ),
  opened: built((db) =>
    db
      .select()
      .from(challenges)
      .where(and(byId, ofPurpose, unexpired)),
  ),
  byId: built((db) => db.select({ id: challenges.id }).from(challenges).where(byId)),
  giveBack: built((db) => db.update(challenges).set({ takenAt: null }).where(byId)),
  remove: built((db) => db.delete(challenges).where(byId)),
  latest: built((db) =>
    db
      .select()
      .from(challenges)
      .where(and(ofUser, ofPurpose, unexpired))
      .orderBy(sql`${challenges.requestedAt} DESC`)
      .limit(1),
  ),
  forget: text(`
    DELETE FROM challenges WHERE id IN (
      SELECT id FROM challenges WHERE expires_at < $now ORDER BY expires_at LIMIT ${BATCH})`),
  addDevice: built((db) => db.insert(devices).values(placeholders(devices))),
  deviceOf: built((db) =>
    db
      .select()
      .from(devices)
      .where(
        and(
          eq(devices.tokenHash, placeholder('tokenHash')),
          eq(devices.userId, placeholder('userId')),
          gt(devices.expiresAt, placeholder('now')),
        ),
      ),
  ),
  removeDevices: built((db) => db.delete(devices).where(eq(devices.userId, placeholder('userId')))),
  forgetDevices: text(`
    DELETE FROM devices WHERE id IN (
      SELECT id FROM devices WHERE expires_at < $now ORDER BY expires_at LIMIT ${BATCH})`),
}
