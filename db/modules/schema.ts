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
