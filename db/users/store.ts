import { asc, eq, gt, sql } from 'drizzle-orm'
import { type BunSQLiteDatabase, drizzle } from 'drizzle-orm/bun-sqlite'
import type { SQLiteColumn } from 'drizzle-orm/sqlite-core'
import type { NewNotice } from '../../services/kit/outbox/outbox.ts'
import { emailKey } from '../../services/kit/schema/email.ts'
import type { NewUser, User, UsersStore } from '../../services/users/store.ts'
import { limitStore } from '../limits.ts'
import { outboxStore } from '../outbox.ts'
import { hashStored, storedHash } from '../password-hash.ts'
import { placeholders } from '../placeholders.ts'
import { prepared } from '../prepared.ts'
import * as schema from '../schema/users.ts'
import { bulkInsert } from '../sqlite/bulk-insert.ts'
import { openDatabase, type Sqlite } from '../sqlite/engine.ts'
import { usersMigrations } from '../sqlite/migrations/users.ts'
import { RowCache } from '../sqlite/row-cache.ts'
import { rowReader } from '../sqlite/row-reader.ts'
import { userLists } from './list.ts'
import { mergePieces, searchTextOfUser } from './search.ts'

const { users } = schema

/** Opens the users database at `path`. @throws DatabaseError */
export function openUsersStore(path: string): UsersStore {
  return usersStore(openDatabase(path, 'users', usersMigrations))
}

function usersStore(sqlite: Sqlite): UsersStore {
  const db = drizzle(sqlite.raw, { schema })
  const query = prepare(db)
  const lists = userLists(db)
  /** Whether the index of the search is in as few pieces as it can be, as far as is known. */
  let merged = false
  const listsChanged = () => {
    lists.changed()
    merged = false
  }
  const readUser = rowReader(sqlite.raw, users, 'id = $id', ['seq', 'emailKey', 'isAdmin', 'change', 'searchText'])
  const userById = new RowCache(sqlite, (id) => {
    const row = readUser({ id })
    return row && { ...row, passwordHash: hashStored(row.passwordHash) }
  })
  const insertAll = bulkInsert(sqlite.raw, users, users.change, ['seq'])
  const outbox = outboxStore(sqlite)

  const rowOf = (user: User, change = query.nextChanges.get({ count: 1 })?.value ?? 0) => {
    const key = emailKey(user.email)
    const searchText = searchTextOfUser({ ...user, emailKey: key })
    const passwordHash = storedHash(user.passwordHash)
    return { ...user, passwordHash, emailKey: key, isAdmin: isActiveAdmin(user), change, searchText }
  }

  /** @param self whose own email and username are not in its way; a user to be made has none yet */
  const taken = (user: User, self: string | null = user.id) => {
    const byEmail = query.byEmail.get({ key: emailKey(user.email) })
    if (byEmail && byEmail.id !== self) return 'email_taken' as const
    const byUsername = user.username === null ? undefined : query.byUsername.get({ username: user.username })
    if (byUsername && byUsername.id !== self) return 'username_taken' as const
    return undefined
  }

  const addAll = (newcomers: readonly NewUser[], told: (added: number) => NewNotice[]) => {
    const gone = new Set(query.deletedAmong.all({ ids: listOf(newcomers, ({ user }) => user.id) }).map(({ id }) => id))
    const first = (query.nextChanges.get({ count: newcomers.length })?.value ?? 0) - newcomers.length + 1
    const rows = newcomers.map(({ user }, index) => rowOf(user, first + index))
    listsChanged()
    const added = insertAll(rows.filter(({ id }) => !gone.has(id)))
    const wasAdded = newcomers.map((_, index) => added.has(first + index))
    const notices = newcomers.flatMap(({ notices }, index) => (wasAdded[index] ? notices : []))
    outbox.addNotices(added.size > 0 ? [...notices, ...told(added.size)] : notices)
    return newcomers.map(({ user }, index) =>
      wasAdded[index] ? ('added' as const) : (taken(user, null) ?? ('id_taken' as const)),
    )
  }

  const isLastAdmin = (user: User) => isActiveAdmin(user) && query.admins.all().length < 2

  return {
    ...outbox,
    ...limitStore(sqlite),

    addUser: (user, notices) =>
      sqlite.write(() => {
        const conflict = taken(user)
        if (conflict) return conflict
        query.insert.run(rowOf(user))
        listsChanged()
        outbox.addNotices(notices)
        return 'added' as const
      }),

    addUsers: (newcomers, told = () => []) => sqlite.write(() => (newcomers.length > 0 ? addAll(newcomers, told) : [])),

    replaceUser: (next, notices) =>
      sqlite.write(() => {
        const current = query.byId.get({ id: next.id })
        if (current?.version !== next.version - 1) return 'changed_since' as const
        const conflict = taken(next)
        if (conflict) return conflict
        if (!isActiveAdmin(next) && isLastAdmin(current)) return 'last_admin' as const
        query.update.run(rowOf(next))
        userById.forget(next.id)
        listsChanged()
        outbox.addNotices(notices)
        return 'replaced' as const
      }),

    removeUser: (id, notices) =>
      sqlite.write(() => {
        const current = query.byId.get({ id })
        if (!current) return 'not_found' as const
        if (isLastAdmin(current)) return 'last_admin' as const
        query.remove.run({ id })
        userById.forget(id)
        listsChanged()
        query.addDeletedId.run({ id })
        outbox.addNotices(notices)
        return 'removed' as const
      }),

    async addNotice(notice) {
      await sqlite.write(() => outbox.addNotices([notice]))
    },

    userById: async (id) => userById.get(id),
    userByEmail: async (email) => toUser(query.byEmail.get({ key: emailKey(email) })),
    userByUsername: async (username) => toUser(query.byUsername.get({ username })),

    async usersNamed({ emails = [], ids = [], usernames = [] }) {
      const found = new Map<string, User>()
      const keep = (rows: Row[]) => {
        for (const row of rows) found.set(row.id, present(row))
      }
      if (emails.length > 0) keep(query.byEmails.all({ keys: listOf(emails, emailKey) }))
      if (usernames.length > 0) keep(query.byUsernames.all({ usernames: JSON.stringify(usernames) }))
      if (ids.length > 0) keep(query.byIds.all({ ids: JSON.stringify(ids) }))
      return [...found.values()]
    },

    async listUsers(filter, request) {
      const slice = await lists.listUsers(filter, request)
      return { ...slice, rows: slice.rows.map(present) }
    },

    async mergeSearch() {
      if (merged) return false
      merged = true
      let more = true
      try {
        more = await sqlite.write(() => mergePieces(sqlite.raw))
      } finally {
        // What failed is still to be done.
        if (more) merged = false
      }
      return more
    },

    async usersChangedAfter(after, limit) {
      const rows = query.changedAfter.all({ after, limit })
      return { users: rows.map(present), last: rows.at(-1)?.change ?? null }
    },

    async probe() {
      await sqlite.write(() => query.probe.run())
      sqlite.raw.query('SELECT value FROM counters').get()
    },
    close: () => sqlite.close(),
  }
}

function listOf<T>(items: readonly T[], of: (item: T) => string): string {
  return JSON.stringify(items.map(of))
}

/** Whether a column is one of a list, which is given as JSON. */
function among(column: SQLiteColumn, list: string) {
  return sql`${column} IN (SELECT value FROM json_each(${sql.placeholder(list)}))`
}

type Row = typeof users.$inferSelect

export function present(row: Row): User {
  const { seq, emailKey, isAdmin, change, passwordHash, searchText, ...user } = row
  return { ...user, passwordHash: hashStored(passwordHash) }
}

function toUser(row: Row | undefined): User | null {
  return row ? present(row) : null
}

function isActiveAdmin({ roles, status }: Pick<User, 'roles' | 'status'>): boolean {
  return status === 'active' && roles.includes('ADMIN')
}

/** Every statement that a request runs, prepared once. */
function prepare(db: BunSQLiteDatabase<typeof schema>) {
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
