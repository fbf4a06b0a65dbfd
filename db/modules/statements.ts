import { and, asc, count, eq, gt, max, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import { placeholders } from '../placeholders.ts'
import { prepared } from '../prepared.ts'
import * as schema from '../schema/modules.ts'
import type { Sqlite } from '../sqlite/engine.ts'

const { choiceChanges, choices, counters, deletedUsers, feed, moduleChanges, modules } = schema
const { placeholder } = sql

/** The statements of all requests, each prepared once. */
export function prepareStatements(db: BunSQLiteDatabase<typeof schema>, { raw }: Sqlite) {
  const byId = eq(modules.id, placeholder('id'))
  const withChoice = () =>
    db
      .select({ module: modules, choice: choices })
      .from(modules)
      .leftJoin(choices, and(eq(choices.moduleId, modules.id), eq(choices.userId, placeholder('userId'))))
  const enabledFor = and(eq(choices.moduleId, placeholder('id')), eq(choices.enabled, true))

  return prepared({
    insert: () => db.insert(modules).values(placeholders(modules)).prepare(),
    update: () =>
      db
        .update(modules)
        .set(placeholders(modules, ['id']))
        .where(byId)
        .prepare(),
    remove: () => db.delete(modules).where(byId).prepare(),
    byId: () => db.select().from(modules).where(byId).prepare(),
    all: () => db.select().from(modules).orderBy(asc(modules.id)).prepare(),

    choicesOf: () =>
      db
        .select()
        .from(choices)
        .where(eq(choices.userId, placeholder('userId')))
        .prepare(),
    oneOfUser: () => withChoice().where(byId).prepare(),
    users: () =>
      db
        .select({ userId: choices.userId, enabledAt: choices.enabledAt })
        .from(choices)
        .where(and(enabledFor, gt(choices.userId, placeholder('after'))))
        .orderBy(asc(choices.userId))
        .limit(placeholder('limit'))
        .offset(placeholder('offset'))
        .prepare(),
    countUsers: () => db.select({ total: count() }).from(choices).where(enabledFor).prepare(),

    choose: () =>
      db
        .insert(choices)
        .values(placeholders(choices))
        .onConflictDoUpdate({
          target: [choices.userId, choices.moduleId],
          set: { enabled: sql`excluded.enabled`, enabledAt: sql`excluded.enabled_at` },
        })
        .prepare(),
    removeChoices: () =>
      db
        .delete(choices)
        .where(eq(choices.userId, placeholder('userId')))
        .prepare(),
    addDeletedUser: () => db.insert(deletedUsers).values(placeholders(deletedUsers)).onConflictDoNothing().prepare(),
    isDeleted: () =>
      db
        .select()
        .from(deletedUsers)
        .where(eq(deletedUsers.userId, placeholder('userId')))
        .prepare(),

    setEpoch: () =>
      db
        .update(feed)
        .set({ epoch: sql`${placeholder('epoch')}` })
        .prepare(),
    feed: () => db.select().from(feed).prepare(),
    lastModuleChange: () =>
      db
        .select()
        .from(moduleChanges)
        .where(eq(moduleChanges.moduleId, placeholder('id')))
        .prepare(),
    lastChoice: () =>
      db
        .select({ seq: max(choiceChanges.seq) })
        .from(choiceChanges)
        .where(eq(choiceChanges.moduleId, placeholder('id')))
        .prepare(),
    choicesAfter: () =>
      db
        .select({ seq: choiceChanges.seq, userId: choiceChanges.userId, enabled: choices.enabled })
        .from(choiceChanges)
        .leftJoin(choices, and(eq(choices.moduleId, choiceChanges.moduleId), eq(choices.userId, choiceChanges.userId)))
        .where(and(eq(choiceChanges.moduleId, placeholder('id')), gt(choiceChanges.seq, placeholder('after'))))
        .orderBy(asc(choiceChanges.seq))
        .limit(placeholder('limit'))
        .prepare(),

    /** Copies the choice `enabled` of one of `others` to `id`, for each user who made no choice about `id`. */
    copyChoices: () =>
      raw.query<never, { id: string; enabled: 0 | 1; enabledAt: number | null; others: string }>(`
      INSERT INTO choices (user_id, module_id, enabled, enabled_at)
      SELECT DISTINCT choice.user_id, $id, $enabled, $enabledAt
      FROM json_each($others) AS other CROSS JOIN choices AS choice
      WHERE choice.module_id = other.value AND choice.enabled = $enabled
      ON CONFLICT DO NOTHING`),
    /** Finds a user who has `id` enabled and `required` disabled, each by choice or by default. */
    lacksRequirement: () =>
      raw.query<{ one: 1 }, { id: string; isDefault: boolean; required: string; requiredIsDefault: boolean }>(`
      SELECT 1 AS one FROM choices AS choice
      WHERE choice.module_id = $id AND choice.enabled = 1 AND NOT coalesce(
        (SELECT enabled FROM choices WHERE user_id = choice.user_id AND module_id = $required), $requiredIsDefault)
      UNION ALL
      SELECT 1 FROM choices AS choice
      WHERE $isDefault AND choice.module_id = $required AND choice.enabled = 0
        AND NOT EXISTS (SELECT 1 FROM choices WHERE user_id = choice.user_id AND module_id = $id)
      LIMIT 1`),

    probe: () =>
      db
        .update(counters)
        .set({ value: sql`${counters.value} + 1` })
        .where(eq(counters.name, 'probe'))
        .prepare(),
    probed: () => db.select().from(counters).where(eq(counters.name, 'probe')).prepare(),
  })
}
