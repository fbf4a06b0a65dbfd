import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core'

export const modules = sqliteTable('modules', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  description: text('description').notNull(),
  version: text('version').notNull(),
  requiredRoles: text('required_roles', { mode: 'json' }).$type<string[]>().notNull(),
  requires: text('requires', { mode: 'json' }).$type<string[]>().notNull(),
  defaultEnabled: integer('default_enabled', { mode: 'boolean' }).notNull(),
  createdAt: integer('created_at').notNull(),
})

/** What was chosen for a user; where nothing was, the module's default counts. */
export const choices = sqliteTable(
  'choices',
  {
    userId: text('user_id').notNull(),
    moduleId: text('module_id')
      .notNull()
      .references(() => modules.id, { onDelete: 'cascade' }),
    enabled: integer('enabled', { mode: 'boolean' }).notNull(),
    /** Null while it is off. */
    enabledAt: integer('enabled_at'),
  },
  (table) => [primaryKey({ columns: [table.userId, table.moduleId] })],
)

/** Who was deleted: a change that was under way meanwhile must not bring anything of theirs back. */
export const deletedUsers = sqliteTable('deleted_users', { userId: text('user_id').primaryKey() })

/** One row: the name of this database to the followers of its feed, and the number of the last change. */
export const feed = sqliteTable('feed', { epoch: text('epoch').notNull(), seq: integer('seq').notNull() })

/** Which change of a module was its last, and since which it is as it was told. Triggers write it. */
export const moduleChanges = sqliteTable('module_changes', {
  moduleId: text('module_id').primaryKey(),
  begun: integer('begun').notNull(),
  seq: integer('seq').notNull(),
})

/** Which change of what is chosen for a user was the last. Triggers write it. */
export const choiceChanges = sqliteTable(
  'choice_changes',
  {
    moduleId: text('module_id').notNull(),
    userId: text('user_id').notNull(),
    seq: integer('seq').notNull(),
  },
  (table) => [primaryKey({ columns: [table.moduleId, table.userId] })],
)

export const counters = sqliteTable('counters', {
  name: text('name').primaryKey(),
  value: integer('value').notNull(),
})

export const outbox = sqliteTable('outbox', {
  seq: integer('seq').primaryKey({ autoIncrement: true }),
  target: text('target').notNull(),
  kind: text('kind').notNull(),
  subject: text('subject').notNull(),
  payload: text('payload', { mode: 'json' }).$type<Record<string, unknown>>().notNull(),
})
