import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import type { Profile } from '../../services/kit/schema/user.ts'

export const users = sqliteTable('users', {
  /** The order of creation, which lists follow. */
  seq: integer('seq').primaryKey({ autoIncrement: true }),
  id: text('id').notNull().unique(),
  email: text('email').notNull(),
  /** The email as it is compared: two emails that differ only in case are the same. */
  emailKey: text('email_key').notNull().unique(),
  username: text('username').unique(),
  name: text('name'),
  roles: text('roles', { mode: 'json' }).$type<string[]>().notNull(),
  /** Whether the user has the role ADMIN and is active. */
  isAdmin: integer('is_admin', { mode: 'boolean' }).notNull(),
  status: text('status').$type<'active' | 'disabled'>().notNull(),
  emailVerified: integer('email_verified', { mode: 'boolean' }).notNull(),
  passwordHash: text('password_hash').notNull(),
  version: integer('version').notNull(),
  sessionsFrom: integer('sessions_from').notNull(),
  sessionKept: text('session_kept'),
  allSessionsFrom: integer('all_sessions_from').notNull(),
  tokensFrom: integer('tokens_from').notNull(),
  /** The number of the user's last change, among the changes of all users. */
  change: integer('change').notNull().unique(),
  createdAt: integer('created_at').notNull(),
  updatedAt: integer('updated_at').notNull(),
  /** The folded text that a search covers. */
  searchText: text('search_text').notNull().default(''),
  // The profile, one column for each field.
  locale: text('locale').$type<Profile['locale']>(),
  metadata: text('metadata', { mode: 'json' }).$type<Profile['metadata']>().notNull().default({}),
  app_metadata: text('app_metadata', { mode: 'json' }).$type<Profile['app_metadata']>().notNull().default({}),
  /** Second factors that were added before this version are void. */
  factorsFrom: integer('factors_from').notNull().default(0),
})

/** The ids of deleted users: they are never used again. */
export const deletedIds = sqliteTable('deleted_ids', { id: text('id').primaryKey() })

/** Emails that were verified before they were changed: nobody else can take them before `until`. */
export const reservedEmails = sqliteTable('reserved_emails', {
  emailKey: text('email_key').primaryKey(),
  userId: text('user_id').notNull(),
  until: integer('until').notNull(),
})

/** Numbers that only grow, even when rows are deleted. */
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

/** How often a subject did what a rule limits. */
export const limits = sqliteTable(
  'limits',
  {
    rule: text('rule').notNull(),
    subject: text('subject').notNull(),
    windowStart: integer('window_start').notNull(),
    count: integer('count').notNull(),
  },
  (table) => [primaryKey({ columns: [table.rule, table.subject] })],
)
