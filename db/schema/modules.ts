import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core'

/** The library of modules. */
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

/** The users' choices. For a user without a choice the module's default counts. */
export const choices = sqliteTable(
  'choices',
  {
    userId: text('user_id').notNull(),
    moduleId: text('module_id')
      .notNull()
      .references(() => modules.id, { onDelete: 'cascade' }),
    enabled: integer('enabled', { mode: 'boolean' }).notNull(),
    /** Null while the module is disabled. */
    enabledAt: integer('enabled_at'),
  },
  (table) => [primaryKey({ columns: [table.userId, table.moduleId] })],
)

/** Deleted users: a concurrent change must not store anything of theirs again. */
export const deletedUsers = sqliteTable('deleted_users', { userId: text('user_id').primaryKey() })

/** One row: the epoch, which names this database to the feed's subscribers, and the number of the last change. */
export const feed = sqliteTable('feed', { epoch: text('epoch').notNull(), seq: integer('seq').notNull() })

/** The number of each module's last change, and of its creation or removal (`begun`). Triggers write the rows. */
export const moduleChanges = sqliteTable('module_changes', {
  moduleId: text('module_id').primaryKey(),
  begun: integer('begun').notNull(),
  seq: integer('seq').notNull(),
})

/** The number of each choice's last change. Triggers write the rows. */
export const choiceChanges = sqliteTable(
  'choice_changes',
  {
    moduleId: text('module_id').notNull(),
    userId: text('user_id').notNull(),
    seq: integer('seq').notNull(),
  },
  (table) => [primaryKey({ columns: [table.moduleId, table.userId] })],
)

/** Numbers that only grow. */
export const counters = sqliteTable('counters', {
  name: text('name').primaryKey(),
  value: integer('value').notNull(),
})

/** Notices to other services that were not acknowledged yet. */
export const outbox = sqliteTable('outbox', {
  seq: integer('seq').primaryKey({ autoIncrement: true }),
  target: text('target').notNull(),
  kind: text('kind').notNull(),
  subject: text('subject').notNull(),
  payload: text('payload', { mode: 'json' }).$type<Record<string, unknown>>().notNull(),
})
