import { and, asc, count, eq, gt, sql } from 'drizzle-orm'
import { type Builder, built, text } from '../engine.ts'
import { placeholders } from '../placeholders.ts'
import * as schema from '../schema/modules.ts'
import { BATCH } from '../write-in-batches.ts'

const { choiceChanges, choices, counters, deletedUsers, feed, moduleChanges, modules } = schema
const { placeholder } = sql

const byId = eq(modules.id, placeholder('id'))
const withChoice = (db: Builder) =>
  db
    .select({ module: modules, choice: choices })
    .from(modules)
    .leftJoin(choices, and(eq(choices.moduleId, modules.id), eq(choices.userId, placeholder('userId'))))
/**
 * The choice whose change is numbered; null: the user has none any more. The database finds it by the user. By the module, which
 * an expression here keeps out of its indexes, PostgreSQL would read all choices of the module for each one: that looks cheap
 * to it once many were added since it last counted them.
 */
const choiceOfChange = sql<boolean | null>`(
  SELECT choices.enabled FROM choices
  WHERE choices.user_id = choice_changes.user_id AND choices.module_id || '' = choice_changes.module_id)`.mapWith(
  choices.enabled,
)
const enabledFor = and(eq(choices.moduleId, placeholder('id')), eq(choices.enabled, true))

/** The statements of all requests. */
export const STATEMENTS = {
  insert: built((db) => db.insert(modules).values(placeholders(modules))),
  update: built((db) =>
    db
      .update(modules)
      .set(placeholders(modules, ['id']))
      .where(byId),
  ),
  remove: built((db) => db.delete(modules).where(byId)),
  byId: built((db) => db.select().from(modules).where(byId)),
  all: built((db) => db.select().from(modules).orderBy(asc(modules.id))),

  choicesOf: built((db) =>
    db
      .select()
      .from(choices)
      .where(eq(choices.userId, placeholder('userId'))),
  ),
  oneOfUser: built((db) => withChoice(db).where(byId)),
  users: built((db) =>
    db
      .select({ userId: choices.userId, enabledAt: choices.enabledAt })
      .from(choices)
      .where(and(enabledFor, gt(choices.userId, placeholder('after'))))
      .orderBy(asc(choices.userId))
      .limit(placeholder('limit'))
      .offset(placeholder('offset')),
  ),
  countUsers: built((db) => db.select({ total: count() }).from(choices).where(enabledFor)),

  choose: built((db) =>
    db
      .insert(choices)
      .values(placeholders(choices))
      .onConflictDoUpdate({
        target: [choices.userId, choices.moduleId],
        set: { enabled: sql`excluded.enabled`, enabledAt: sql`excluded.enabled_at` },
      }),
  ),
  removeChoices: text<{ moduleId: string; userId: string }>({
    sqlite: removeChoices('IN (SELECT value FROM json_each($users))'),
    // An array is looked up in the index: a join might read the whole table, and conflict with every other change.
    postgres: removeChoices('= ANY (ARRAY(SELECT jsonb_array_elements_text(CAST($users AS text)::jsonb)))'),
  }),
  addDeletedUser: built((db) => db.insert(deletedUsers).values(placeholders(deletedUsers)).onConflictDoNothing()),
  isDeleted: built((db) =>
    db
      .select()
      .from(deletedUsers)
      .where(eq(deletedUsers.userId, placeholder('userId'))),
  ),

  setEpoch: built((db) => db.update(feed).set({ epoch: sql`${placeholder('epoch')}` })),
  feed: built((db) => db.select().from(feed)),
  /** Takes the numbers of the next changes: the statements below give them, in the same transaction. */
  nextChanges: built((db) => db.update(feed).set({ seq: sql`${feed.seq} + ${placeholder('count')}` })),
  /** Numbers a change of a module's fields: what its subscribers know of choices stays valid. */
  numberModule: text(`
    INSERT INTO module_changes (module_id, begun, seq) SELECT $id, 0, seq FROM feed WHERE true
    ON CONFLICT (module_id) DO UPDATE SET seq = excluded.seq`),
  /** Numbers the creation or the removal of a module: what its subscribers know of choices is void. */
  numberModuleAnew: text(`
    INSERT INTO module_changes (module_id, begun, seq) SELECT $id, seq, seq FROM feed WHERE true
    ON CONFLICT (module_id) DO UPDATE SET begun = excluded.begun, seq = excluded.seq`),
  /** Numbers changes of choices, each a list of the module and the user. The last one has the number of the counter. */
  numberChoices: text({
    sqlite: `
        INSERT INTO choice_changes (module_id, user_id, seq)
        SELECT value->>0, value->>1, (SELECT seq FROM feed) - $count + key + 1 FROM json_each($choices) WHERE true
        ON CONFLICT (module_id, user_id) DO UPDATE SET seq = excluded.seq`,
    postgres: `
        INSERT INTO choice_changes (module_id, user_id, seq)
        SELECT value->>0, value->>1, (SELECT seq FROM feed) - $count + key
        FROM jsonb_array_elements(CAST($choices AS text)::jsonb) WITH ORDINALITY AS list (value, key)
        ON CONFLICT (module_id, user_id) DO UPDATE SET seq = excluded.seq`,
  }),
  removeChoiceNumbers: text('DELETE FROM choice_changes WHERE module_id = $id'),
  lastModuleChange: built((db) =>
    db
      .select()
      .from(moduleChanges)
      .where(eq(moduleChanges.moduleId, placeholder('id'))),
  ),
  lastChange: text<{ seq: number | null }>(`
    SELECT max(seq) AS seq FROM (
      SELECT seq FROM module_changes WHERE module_id = $id
      UNION ALL SELECT max(seq) FROM choice_changes WHERE module_id = $id) AS changes`),
  choicesAfter: built((db) =>
    db
      .select({ seq: choiceChanges.seq, userId: choiceChanges.userId, enabled: choiceOfChange })
      .from(choiceChanges)
      .where(and(eq(choiceChanges.moduleId, placeholder('id')), gt(choiceChanges.seq, placeholder('after'))))
      .orderBy(asc(choiceChanges.seq))
      .limit(placeholder('limit')),
  ),

  /** Copies the choice `enabled` of one of `others` to `id`, for each user who made no choice about `id`. */
  copyChoices: text<{ userId: string }>({
    sqlite: copyChoices('json_each($others) AS other'),
    postgres: copyChoices('jsonb_array_elements_text(CAST($others AS text)::jsonb) AS other (value)'),
  }),
  /** Finds the first users after `after` whose choice about `other` is `enabled`. */
  usersWhoChose: text<{ userId: string }>(`
    SELECT user_id AS "userId" FROM choices
    WHERE module_id = $other AND enabled = $enabled AND user_id > $after ORDER BY user_id LIMIT ${BATCH}`),
  /** Adds a choice about `id` for those of the users who made none. */
  addChoices: text<{ userId: string }>({
    sqlite: addChoices('json_each($users) AS list'),
    postgres: addChoices('jsonb_array_elements_text(CAST($users AS text)::jsonb) AS list (value)'),
  }),
  /** Finds a user who has `id` enabled and `required` disabled, each by choice or by default. */
  lacksRequirement: text<{ one: 1 }>(`
      SELECT 1 AS one FROM choices AS choice
      WHERE choice.module_id = $id AND choice.enabled = 1 AND 0 = coalesce(
        (SELECT enabled FROM choices WHERE user_id = choice.user_id AND module_id = $required), $requiredIsDefault)
      UNION ALL
      SELECT 1 FROM choices AS choice
      WHERE $isDefault = 1 AND choice.module_id = $required AND choice.enabled = 0
        AND NOT EXISTS (SELECT 1 FROM choices WHERE user_id = choice.user_id AND module_id = $id)
      LIMIT 1`),

  probe: built((db) =>
    db
      .update(counters)
      .set({ value: sql`${counters.value} + 1` })
      .where(eq(counters.name, 'probe')),
  ),
  probed: built((db) => db.select().from(counters).where(eq(counters.name, 'probe'))),
}

function removeChoices(users: string): string {
  return `DELETE FROM choices WHERE user_id ${users} RETURNING module_id AS "moduleId", user_id AS "userId"`
}

function copyChoices(others: string): string {
  return `
    INSERT INTO choices (user_id, module_id, enabled, enabled_at)
    SELECT DISTINCT choice.user_id, CAST($id AS text), CAST($enabled AS bigint), CAST($enabledAt AS bigint)
    FROM ${others} CROSS JOIN choices AS choice
    WHERE choice.module_id = other.value AND choice.enabled = $enabled
      AND NOT EXISTS (SELECT 1 FROM choices WHERE user_id = choice.user_id AND module_id = $id)
    ON CONFLICT DO NOTHING RETURNING user_id AS "userId"`
}

function addChoices(users: string): string {
  return `
    INSERT INTO choices (user_id, module_id, enabled, enabled_at)
    SELECT list.value, CAST($id AS text), CAST($enabled AS bigint), CAST($enabledAt AS bigint) FROM ${users}
    WHERE true ON CONFLICT DO NOTHING RETURNING user_id AS "userId"`
}
