import { randomBytes } from 'node:crypto'
import { and, eq, gt, gte, inArray, isNull, lt, lte, ne, or, sql } from 'drizzle-orm'
import { ONLY_ONE } from '../../services/auth/challenges/only-one.ts'
import type {
  AuthStore,
  Challenge,
  ChallengeKey,
  ChallengeOptions,
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
import { type Body, built, dynamic, type Engine, type Transaction, text, type Values } from '../engine.ts'
import { groupedBodies } from '../grouped-bodies.ts'
import { placeholders } from '../placeholders.ts'
import { challenges, devices, mailRequests, usedChallenges } from '../schema/auth.ts'
import { BATCH, writeInBatches } from '../write-in-batches.ts'
import { hasOneOf } from './account-table/roles.ts'
import type { Audit, Audited } from './audit/audit.ts'
import { addMail } from './mail/mail-requests.ts'
import type { Events } from './webhooks/events.ts'

/** Milliseconds after which a challenge can be taken again, if the process that took it never finished. */
const TAKEN_FOR = MINUTE

interface AddCall {
  challenge: Challenge
  mail: MailRequest
  options: ChallengeOptions
}

interface IssueCall {
  issue: Issue
  now: number
  event: AuditEvent | null
}

interface TakeCall {
  key: ChallengeKey
  purpose: ChallengePurpose
  now: number
}

interface DeviceCall {
  device: Device
  client: DeviceClient
  event: AuditEvent
}

/** Codes and links in mails, and the devices that codes confirmed. */
export function challengeStore(engine: Engine, { audit, events }: { audit: Audit; events: Events }) {
  function* add(tx: Transaction, { challenge, mail, options }: AddCall): Body<Audited<boolean>> {
    const { id, purpose, userId } = challenge
    const { event, withoutRoles = [] } = options
    if (yield* hasOneOf(tx, withoutRoles, userId)) return { result: false, events: [] }
    if (!(yield* addMail(engine, tx, mail))) return { result: true, events: [] }
    if (userId !== null && ONLY_ONE.includes(purpose)) yield* tx.run(statements.voidOthers, { userId, purpose, id })
    yield* tx.run(statements.insert, challengeRow(challenge))
    return { result: true, events: event ? [event] : [] }
  }

  function* issue(tx: Transaction, { event, issue: issued, now }: IssueCall): Body<Audited<Challenge | null>> {
    const { isOnlyOne, mailId, userId } = issued
    const [claimed, row] = yield* tx.together([
      tx.get(statements.claim, { mailId, userId, now }),
      tx.get(statements.ofMail, { mailId }),
    ])
    if (claimed && row) {
      const { id, purpose, requestedAt } = row
      const isUseless = isOnlyOne && (yield* tx.get(statements.later, { userId, purpose, requestedAt, now }))
      if (!isUseless)
        yield* tx.together([
          ...(isOnlyOne ? [tx.run(statements.voidOthers, { userId, purpose, id })] : []),
          tx.run(statements.issue, { ...issued, tokenHash: Buffer.from(issued.tokenHash) }),
        ])
    }
    const challenge = yield* tx.get(statements.ofMail, { mailId })
    if (!challenge?.tokenHash || challenge.expiresAt <= now) return { result: null, events: [] }
    return { result: challenge, events: event ? [event] : [] }
  }

  function* addDevice(tx: Transaction, { client, device, event }: DeviceCall): Body<Audited<undefined>> {
    const { createdAt, id, tokenHash, userId } = device
    yield* tx.run(statements.addDevice, { ...device, tokenHash: Buffer.from(tokenHash) })
    if (events.isSubscribed('device.confirmed')) {
      const { ip, userAgent } = client
      const data = { device_id: id, ip, user_agent: userAgent } satisfies EventData['device.confirmed']
      const published = { id: Bun.randomUUIDv7(), type: 'device.confirmed', at: createdAt, userId, data } as const
      yield* events.writeEvents(tx, [published])
    }
    return { result: undefined, events: [event] }
  }

  function* finish(tx: Transaction, { event, id }: { id: string; event: AuditEvent | null }) {
    yield* tx.run(statements.remove, { id })
    return { result: undefined, events: event ? [event] : [] }
  }

  /**
   * Counts a try. Writes a row and removes it in any case: a commit that writes nothing is quicker, and the time would show
   * whether the challenge can still be tried.
   */
  function* tryCode(tx: Transaction, values: Values): Body<Challenge | null> {
    const hash = randomBytes(32)
    const [challenge] = yield* tx.together([
      tx.get(statements.tryCode, values),
      tx.run(statements.addDecoy, { hash, expiresAt: 0 }),
      tx.run(statements.removeDecoy, { hash }),
    ])
    return challenge ?? null
  }

  function* take(tx: Transaction, { key, now, purpose }: TakeCall): Body<Challenge | null> {
    const values = { purpose, now, ...abandoned(now) }
    const challenge =
      'id' in key
        ? yield* tx.get(statements.takeById, { ...values, id: key.id })
        : yield* tx.get(statements.takeByToken, { ...values, tokenHash: Buffer.from(key.tokenHash) })
    return challenge ?? null
  }

  // Calls about one challenge may share a transaction: each is one statement, which sees what those before it changed.
  const tryOne = groupedBodies(engine, tryCode, () => [])
  const takeOne = groupedBodies(engine, take, () => [])
  const addOne = audit.grouped(add, ({ challenge: { id, userId }, mail }) => [
    id,
    mail.id,
    ...(userId === null ? [] : [userId]),
  ])
  const issueOne = audit.grouped(issue, ({ issue: { mailId, userId } }) => [mailId, userId])
  const addOneDevice = audit.grouped(addDevice, ({ device }) => device.id)
  const finishOne = audit.grouped(finish, ({ id }) => id)

  return {
    addChallenge: (challenge: Challenge, mail: MailRequest, options: ChallengeOptions = {}) =>
      addOne({ challenge, mail, options }),
    issueChallenge: (issued: Issue, now: number, event: AuditEvent | null) => issueOne({ issue: issued, now, event }),
    tryCode: (id: string, purpose: ChallengePurpose, most: number, now: number) =>
      tryOne({ id, purpose, most, now, ...abandoned(now) }),
    takeChallenge: (key: ChallengeKey, purpose: ChallengePurpose, now: number) => takeOne({ key, purpose, now }),
    async openChallenge(challenge: Challenge) {
      await engine.write((tx) => tx.run(statements.insert, challengeRow(challenge)))
    },
    openedChallenge: async (id: string, purpose: LoginPurpose, now: number) =>
      (await engine.get(statements.opened, { id, purpose, now })) ?? null,
    hasChallenge: async (id: string) => (await engine.get(statements.byId, { id })) !== undefined,
    async returnChallenge(id: string) {
      await engine.write((tx) => tx.run(statements.giveBack, { id }))
    },
    finishChallenge: (id: string, event: AuditEvent | null) => finishOne({ id, event }),
    async voidChallenges(userId: string, purposes: readonly ChallengePurpose[], since = 0) {
      await engine.write((tx) => tx.run(voiding(userId, purposes, since)))
    },
    latestChallenge: async (userId: string, purpose: ChallengePurpose, now: number) =>
      (await engine.get(statements.latest, { userId, purpose, now })) ?? null,
    async forgetChallenges(now: number) {
      await writeInBatches(engine, (tx) => tx.run(statements.forget, { now }))
      await writeInBatches(engine, (tx) => tx.run(statements.forgetDevices, { now }))
    },

    addDevice: (device: Device, client: DeviceClient, event: AuditEvent) => addOneDevice({ device, client, event }),
    deviceOf: async (userId: string, tokenHash: Uint8Array, now: number) =>
      (await engine.get(statements.deviceOf, { userId, tokenHash: Buffer.from(tokenHash), now })) ?? null,
    async removeDevices(userId: string) {
      await engine.write((tx) => tx.run(statements.removeDevices, { userId }))
    },
  } satisfies Partial<AuthStore>
}

function voiding(userId: string, purposes: readonly ChallengePurpose[], since: number) {
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
