import { and, asc, eq, gt, gte, isNotNull, isNull, lt, sql } from 'drizzle-orm'
import { built, text } from '../../engine.ts'
import { placeholders } from '../../placeholders.ts'
import { passkeys, recoveryCodes, totps, usedChallenges } from '../../schema/auth.ts'
import { BATCH } from '../../write-in-batches.ts'

const { placeholder } = sql
const id = placeholder('id')
const userId = placeholder('userId')
const hash = placeholder('hash')
const since = placeholder('since')
const isPending = and(eq(totps.userId, userId), isNull(totps.confirmedAt))

/** The statements for second factors. */
export const STATEMENTS = {
  /** Counts what a user can answer with. */
  methods: text<{ totp: number; passkey: number; recovery: number }>(`
    SELECT (SELECT count(*) FROM totps WHERE user_id = $userId AND confirmed_at IS NOT NULL) AS totp,
      (SELECT count(*) FROM passkeys WHERE user_id = $userId) AS passkey,
      (SELECT count(*) FROM recovery_codes WHERE user_id = $userId) AS recovery`),
  totpsOf: built((db) =>
    db
      .select()
      .from(totps)
      .where(and(eq(totps.userId, userId), isNotNull(totps.confirmedAt)))
      .orderBy(asc(totps.id)),
  ),
  passkeysOf: built((db) => db.select().from(passkeys).where(eq(passkeys.userId, userId)).orderBy(asc(passkeys.id))),
  codesOf: text<{ total: number }>('SELECT count(*) AS total FROM recovery_codes WHERE user_id = $userId'),
  addTotp: built((db) => db.insert(totps).values(placeholders(totps))),
  pending: built((db) =>
    db
      .select()
      .from(totps)
      .where(and(isPending, eq(totps.id, id), gt(totps.expiresAt, placeholder('now')))),
  ),
  removePending: built((db) => db.delete(totps).where(isPending)),
  confirm: built((db) =>
    db
      .update(totps)
      .set({
        confirmedAt: sql`${placeholder('now')}`,
        lastUsedAt: sql`${placeholder('now')}`,
        lastStep: sql`${placeholder('step')}`,
      })
      .where(and(isPending, eq(totps.id, id), gt(totps.expiresAt, placeholder('now')))),
  ),
  useTotp: built((db) =>
    db
      .update(totps)
      .set({ lastStep: sql`${placeholder('step')}`, lastUsedAt: sql`${placeholder('now')}` })
      .where(and(eq(totps.id, id), isNotNull(totps.confirmedAt), lt(totps.lastStep, placeholder('step')))),
  ),
  addCode: built((db) => db.insert(recoveryCodes).values(placeholders(recoveryCodes))),
  useCode: built((db) =>
    db.delete(recoveryCodes).where(and(eq(recoveryCodes.hash, hash), eq(recoveryCodes.userId, userId))),
  ),
  removeCodes: built((db) => db.delete(recoveryCodes).where(eq(recoveryCodes.userId, userId))),
  addPasskey: built((db) => db.insert(passkeys).values(placeholders(passkeys)).onConflictDoNothing()),
  byCredential: built((db) =>
    db
      .select()
      .from(passkeys)
      .where(eq(passkeys.credentialId, placeholder('credentialId'))),
  ),
  /** A counter that does not grow shows a copy of the authenticator, if it counts at all (WebAuthn 3, 7.2). */
  usePasskey: text(`
    UPDATE passkeys SET counter = $counter, backed_up = $backedUp, last_used_at = $now
    WHERE id = $id AND ((counter = 0 AND $counter = 0) OR counter < $counter)`),
  useChallenge: built((db) => db.insert(usedChallenges).values(placeholders(usedChallenges)).onConflictDoNothing()),
  renameTotp: built((db) =>
    db
      .update(totps)
      .set({ name: sql`${placeholder('name')}` })
      .where(and(eq(totps.id, id), eq(totps.userId, userId), isNotNull(totps.confirmedAt))),
  ),
  renamePasskey: built((db) =>
    db
      .update(passkeys)
      .set({ name: sql`${placeholder('name')}` })
      .where(and(eq(passkeys.id, id), eq(passkeys.userId, userId))),
  ),
  removeTotp: built((db) => db.delete(totps).where(and(eq(totps.id, id), eq(totps.userId, userId)))),
  removePasskey: built((db) => db.delete(passkeys).where(and(eq(passkeys.id, id), eq(passkeys.userId, userId)))),
  removeTotpsSince: built((db) => db.delete(totps).where(and(eq(totps.userId, userId), gte(totps.createdAt, since)))),
  removePasskeysSince: built((db) =>
    db.delete(passkeys).where(and(eq(passkeys.userId, userId), gte(passkeys.createdAt, since))),
  ),
  removeCodesSince: built((db) =>
    db.delete(recoveryCodes).where(and(eq(recoveryCodes.userId, userId), gte(recoveryCodes.createdAt, since))),
  ),
  sealed: built((db) =>
    db
      .select({ id: totps.id, userId: totps.userId, sealedSecret: totps.sealedSecret })
      .from(totps)
      .where(gt(totps.id, placeholder('after')))
      .orderBy(asc(totps.id))
      .limit(placeholder('limit')),
  ),
  reseal: built((db) =>
    db
      .update(totps)
      .set({ sealedSecret: sql`${placeholder('sealedSecret')}` })
      .where(eq(totps.id, id)),
  ),
  forgetPending: text(`
    DELETE FROM totps WHERE id IN (
      SELECT id FROM totps WHERE confirmed_at IS NULL AND expires_at < $now ORDER BY expires_at LIMIT ${BATCH})`),
  forgetUsed: text(`
    DELETE FROM used_challenges WHERE hash IN (
      SELECT hash FROM used_challenges WHERE expires_at < $before ORDER BY expires_at LIMIT ${BATCH})`),
}
