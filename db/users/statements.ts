import { asc, eq, gt, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import type { SQLiteColumn } from 'drizzle-orm/sqlite-core'
import { placeholders } from '../placeholders.ts'
import { prepared } from '../prepared.ts'
import * as schema from '../schema/users.ts'

const { users } = schema

/** The statements of all requests, each prepared once. */
export function prepareStatements(db: BunSQLiteDatabase<typeof schema>) {
  return prepared({
    insert: () =>
      db
        .insert(users)
        .values(placeholders(users, ['seq']))
        .prepare(),
    update: () =>
      db
        .update(users)
        .set(placeholders(users, ['seq', 'id']))
        .where(eq(users.id, sql.placeholder('id')))
        .prepare(),
    remove: () =>
      db
        .delete(users)
        .where(eq(users.id, sql.placeholder('id')))
        .prepare(),
    addDeletedId: () =>
      db
        .insert(schema.deletedIds)
        .values({ id: sql.placeholder('id') })
        .prepare(),
    byId: () =>
      db
        .select()
        .from(users)
        .where(eq(users.id, sql.placeholder('id')))
        .prepare(),
    byEmail: () =>
      db
        .select()
        .from(users)
        .where(eq(users.emailKey, sql.placeholder('key')))
        .prepare(),
    byUsername: () =>
      db
        .select()
        .from(users)
        .where(eq(users.username, sql.placeholder('username')))
        .prepare(),
    byIds: () => db.select().from(users).where(among(users.id, 'ids')).prepare(),
    byEmails: () => db.select().from(users).where(among(users.emailKey, 'keys')).prepare(),
    byUsernames: () => db.select().from(users).where(among(users.username, 'usernames')).prepare(),
    deletedAmong: () => db.select().from(schema.deletedIds).where(among(schema.deletedIds.id, 'ids')).prepare(),
    admins: () => db.select({ seq: users.seq }).from(users).where(eq(users.isAdmin, true)).limit(2).prepare(),
    changedAfter: () =>
      db
        .select()
        .from(users)
        .where(gt(users.change, sql.placeholder('after')))
        .orderBy(asc(users.change))
        .limit(sql.placeholder('limit'))
        .prepare(),
    nextChanges: () =>
      db
        .update(schema.counters)
        .set({ value: sql`${schema.counters.value} + ${sql.placeholder('count')}` })
        .where(eq(schema.counters.name, 'change'))
        .returning({ value: schema.counters.value })
        .prepare(),
    probe: () =>
      db
        .update(schema.counters)
        .set({ value: sql`${schema.counters.value} + 1` })
        .where(eq(schema.counters.name, 'probe'))
        .prepare(),
  })
}

/** Whether a column is in a list, which is passed as JSON. @param list the name of the parameter */
function among(column: SQLiteColumn, list: string) {
  return sql`${column} IN (SELECT value FROM json_each(${sql.placeholder(list)}))`
}
