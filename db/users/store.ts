import { drizzle } from 'drizzle-orm/bun-sqlite'
import type { NewNotice } from '../../services/kit/outbox/outbox.ts'
import { emailKey } from '../../services/kit/schema/email.ts'
import { isActiveAdmin, isLastAdmin, removesAdmin } from '../../services/users/last-admin.ts'
import type { NewUser, Taken, User, UsersStore } from '../../services/users/store.ts'
import { limitStore } from '../limits.ts'
import { type DatabaseConfig, openStore } from '../open.ts'
import { outboxStore } from '../outbox.ts'
import { fromHashColumn, toHashColumn } from '../password-hash.ts'
import * as schema from '../schema/users.ts'
import { bulkInsert } from '../sqlite/bulk-insert.ts'
import type { Sqlite, Transaction } from '../sqlite/engine.ts'
import { usersMigrations } from '../sqlite/migrations/users.ts'
import { RowCache } from '../sqlite/row-cache.ts'
import { rowReader } from '../sqlite/row-reader.ts'
import { userLists } from './list.ts'
import { present, presentOrNull, type Row } from './rows.ts'
import { searchTextOfUser } from './search.ts'
import { searchMerger } from './search-merging.ts'
import { prepareStatements } from './statements.ts'

const { users } = schema

/** Opens the store of the users service. @throws DatabaseError */
export function openUsersStore(config: DatabaseConfig): Promise<UsersStore> {
  return openStore(config, { name: 'users', migrations: usersMigrations }, usersStore)
}

function usersStore(sqlite: Sqlite): UsersStore {
  const db = drizzle(sqlite.raw, { schema })
  const statements = prepareStatements(db)
  const lists = userLists(db)
  const search = searchMerger(sqlite)
  const readUser = rowReader(sqlite.raw, users, 'id = $id', ['seq', 'emailKey', 'isAdmin', 'change', 'searchText'])
  const userById = new RowCache(sqlite, (id) => {
    const row = readUser({ id })
    return row && { ...row, passwordHash: fromHashColumn(row.passwordHash) }
  })
  const insertMany = bulkInsert(sqlite.raw, users, users.change, ['seq'])
  const outbox = outboxStore(sqlite)

  const usersChanged = (tx: Transaction, id?: string) => {
    if (id !== undefined) userById.forget(tx, id)
    lists.changed(tx)
    search.changed(tx)
  }

  /** Reserves the numbers of the next changes. @returns the last of them */
  const nextChange = (tx: Transaction, count = 1) => tx.get(statements.nextChanges, { count })?.value ?? 0

  /** @param self the id whose own email and username do not conflict; null: the user does not exist yet */
  const conflictOf = (tx: Transaction, user: User, self: string | null = user.id): Taken | undefined => {
    const byEmail = tx.get(statements.byEmail, { key: emailKey(user.email) })
    if (byEmail && byEmail.id !== self) return 'email_taken'
    const { username } = user
    const byUsername = username === null ? undefined : tx.get(statements.byUsername, { username })
    return byUsername && byUsername.id !== self ? 'username_taken' : undefined
  }

  const addMany = (tx: Transaction, newUsers: readonly NewUser[], summary: (added: number) => NewNotice[]) => {
    const ids = JSON.stringify(newUsers.map(({ user }) => user.id))
    const deleted = new Set(tx.all(statements.deletedAmong, { ids }).map(({ id }) => id))
    const firstChange = nextChange(tx, newUsers.length) - newUsers.length + 1
    const rows = newUsers.map(({ user }, index) => rowOf(user, firstChange + index))
    usersChanged(tx)
    const added = insertMany(
      tx,
      rows.filter(({ id }) => !deleted.has(id)),
    )
    const isAdded = newUsers.map((_, index) => added.has(firstChange + index))
    const notices = newUsers.flatMap((newUser, index) => (isAdded[index] ? newUser.notices : []))
    outbox.addNotices(tx, added.size > 0 ? [...notices, ...summary(added.size)] : notices)
    return newUsers.map(({ user }, index) =>
      isAdded[index] ? ('added' as const) : (conflictOf(tx, user, null) ?? ('id_taken' as const)),
    )
  }

  const takesLastAdmin = (tx: Transaction, before: User, after: User | null) =>
    removesAdmin(before, after) && isLastAdmin(tx.all(statements.admins).length)

  return {
    ...outbox,
    ...limitStore(sqlite),

    addUser: (user, notices) =>
      sqlite.write((tx) => {
        const conflict = conflictOf(tx, user)
        if (conflict) return conflict
        tx.run(statements.insert, rowOf(user, nextChange(tx)))
        usersChanged(tx)
        outbox.addNotices(tx, notices)
        return 'added' as const
      }),

    addUsers: (newUsers, summary = () => []) =>
      sqlite.write((tx) => (newUsers.length > 0 ? addMany(tx, newUsers, summary) : [])),

    replaceUser: (next, notices) =>
      sqlite.write((tx) => {
        const current = tx.get(statements.byId, { id: next.id })
        if (current?.version !== next.version - 1) return 'changed_since' as const
        const conflict = conflictOf(tx, next)
        if (conflict) return conflict
        if (takesLastAdmin(tx, current, next)) return 'last_admin' as const
        tx.run(statements.update, rowOf(next, nextChange(tx)))
        usersChanged(tx, next.id)
        outbox.addNotices(tx, notices)
        return 'replaced' as const
      }),

    removeUser: (id, notices) =>
      sqlite.write((tx) => {
        const current = tx.get(statements.byId, { id })
        if (!current) return 'not_found' as const
        if (takesLastAdmin(tx, current, null)) return 'last_admin' as const
        tx.run(statements.remove, { id })
        tx.run(statements.addDeletedId, { id })
        usersChanged(tx, id)
        outbox.addNotices(tx, notices)
        return 'removed' as const
      }),

    async addNotice(notice) {
      await sqlite.write((tx) => outbox.addNotices(tx, [notice]))
    },

    userById: async (id) => userById.get(id),
    userByEmail: async (email) => presentOrNull(statements.byEmail.get({ key: emailKey(email) })),
    userByUsername: async (username) => presentOrNull(statements.byUsername.get({ username })),

    async usersNamed({ emails = [], ids = [], usernames = [] }) {
      const rows: Row[] = []
      if (emails.length > 0) rows.push(...statements.byEmails.all({ keys: JSON.stringify(emails.map(emailKey)) }))
      if (usernames.length > 0) rows.push(...statements.byUsernames.all({ usernames: JSON.stringify(usernames) }))
      if (ids.length > 0) rows.push(...statements.byIds.all({ ids: JSON.stringify(ids) }))
      return [...new Map(rows.map((row) => [row.id, present(row)])).values()]
    },

    async listUsers(filter, request) {
      const slice = await lists.listUsers(filter, request)
      return { ...slice, rows: slice.rows.map(present) }
    },

    mergeSearch: () => search.merge(),

    async usersChangedAfter(after, limit) {
      const rows = statements.changedAfter.all({ after, limit })
      return { users: rows.map(present), last: rows.at(-1)?.change ?? null }
    },

    async probe() {
      await sqlite.write((tx) => tx.run(statements.probe))
      sqlite.raw.query('SELECT value FROM counters').get()
    },
    close: async () => sqlite.close(),
  }
}

/** @param change the number of the change that writes the row */
function rowOf(user: User, change: number): Omit<Row, 'seq'> {
  const columns = { ...user, emailKey: emailKey(user.email), passwordHash: toHashColumn(user.passwordHash) }
  return { ...columns, isAdmin: isActiveAdmin(user), change, searchText: searchTextOfUser(columns) }
}
