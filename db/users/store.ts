import type { NewNotice } from '../../services/kit/outbox/outbox.ts'
import { emailKey } from '../../services/kit/schema/email.ts'
import { isActiveAdmin, isLastAdmin, removesAdmin } from '../../services/users/last-admin.ts'
import { reservationBy } from '../../services/users/reservations.ts'
import type { NewUser, Taken, User, UsersStore } from '../../services/users/store.ts'
import { bulkInsert } from '../bulk-insert.ts'
import type { Body, Engine, Transaction } from '../engine.ts'
import { limitStore } from '../limits.ts'
import { nodeStore } from '../nodes.ts'
import { type DatabaseConfig, type DatabaseDefinition, openStore } from '../open.ts'
import { outboxStore } from '../outbox.ts'
import { fromHashColumn, toHashColumn } from '../password-hash.ts'
import { usersMigrations as postgres } from '../postgres/migrations/users.ts'
import { rowReader } from '../row-reader.ts'
import * as schema from '../schema/users.ts'
import { usersMigrations as sqlite } from '../sqlite/migrations/users.ts'
import { userLists } from './list.ts'
import { present, presentOrNull, type Row } from './rows.ts'
import { searchTextOfUser } from './search.ts'
import { searchMerger } from './search-merging.ts'
import { STATEMENTS as statements } from './statements.ts'

const { users } = schema

const DATABASE: DatabaseDefinition = { name: 'users', schema, sqlite, postgres }

/** Opens the store of the users service. @throws DatabaseError */
export function openUsersStore(config: DatabaseConfig): Promise<UsersStore> {
  return openStore(config, DATABASE, usersStore)
}

const readUser = rowReader(users, 'id = $id', ['seq', 'emailKey', 'isAdmin', 'change', 'searchText'])
const insertMany = bulkInsert(users, users.change, ['seq'])

function usersStore(engine: Engine): UsersStore {
  const lists = userLists(engine)
  const search = searchMerger(engine)
  const userById = engine.rowCache(function* (tx, id) {
    const row = yield* readUser(tx, { id })
    return row && { ...row, passwordHash: fromHashColumn(row.passwordHash) }
  })
  const outbox = outboxStore(engine)

  const usersChanged = (tx: Transaction, id?: string) => {
    if (id !== undefined) userById.forget(tx, id)
    search.changed(tx)
  }

  /** Reserves the numbers of the next changes. @returns the last of them */
  function* nextChange(tx: Transaction, count = 1): Body<number> {
    return (yield* tx.get(statements.nextChanges, { count }))?.value ?? 0
  }

  function* conflictOf(tx: Transaction, user: User, self: string | null, now: number): Body<Taken | undefined> {
    return takenNames(yield* tx.all(statements.holders, holdersOf(user, now)), self)[0]
  }

  /** Reserves the email that a change takes from a user, and forgets the reservations that have expired. */
  function* reserveEmail(tx: Transaction, before: User, after: User): Body<void> {
    const reservation = reservationBy(before, after)
    if (!reservation) return
    yield* tx.run(statements.forgetReservations, { now: after.updatedAt })
    yield* tx.run(statements.reserve, { ...reservation })
  }

  function* addMany(
    tx: Transaction,
    newUsers: readonly NewUser[],
    now: number,
    summary: (added: number) => NewNotice[],
  ): Body<('added' | 'id_taken' | Taken)[]> {
    const ids = JSON.stringify(newUsers.map(({ user }) => user.id))
    const deleted = new Set((yield* tx.all(statements.deletedAmong, { ids })).map(({ id }) => id))
    const keys = JSON.stringify(newUsers.map(({ user }) => emailKey(user.email)))
    const reserved = new Set((yield* tx.all(statements.reservedAmong, { keys, now })).map((row) => row.emailKey))
    const firstChange = (yield* nextChange(tx, newUsers.length)) - newUsers.length + 1
    const rows = newUsers.map(({ user }, index) => rowOf(user, firstChange + index))
    usersChanged(tx)
    const added = yield* insertMany(
      tx,
      rows.filter((row) => !deleted.has(row.id) && !reserved.has(row.emailKey)),
    )
    const isAdded = newUsers.map((_, index) => added.has(firstChange + index))
    const notices = newUsers.flatMap((newUser, index) => (isAdded[index] ? newUser.notices : []))
    yield* outbox.addNotices(tx, added.size > 0 ? [...notices, ...summary(added.size)] : notices)
    const outcomes: ('added' | 'id_taken' | Taken)[] = []
    for (const [index, { user }] of newUsers.entries())
      outcomes.push(isAdded[index] ? 'added' : ((yield* conflictOf(tx, user, null, now)) ?? 'id_taken'))
    return outcomes
  }

  function* takesLastAdmin(tx: Transaction, before: User, after: User | null): Body<boolean> {
    return removesAdmin(before, after) && isLastAdmin((yield* tx.all(statements.admins)).length)
  }

  return {
    ...outbox,
    ...limitStore(engine),
    ...nodeStore(engine),

    addUser: (user, notices) =>
      engine.write(function* (tx) {
        const conflict = yield* conflictOf(tx, user, user.id, user.createdAt)
        if (conflict) return conflict
        yield* tx.run(statements.insert, rowOf(user, yield* nextChange(tx)))
        usersChanged(tx)
        yield* outbox.addNotices(tx, notices)
        return 'added' as const
      }),

    addUsers: (newUsers, now, summary = () => []) =>
      newUsers.length > 0 ? engine.write((tx) => addMany(tx, newUsers, now, summary)) : Promise.resolve([]),

    replaceUser: (next, notices, email) =>
      engine.write(function* (tx) {
        const current = yield* tx.get(statements.byId, { id: next.id })
        if (current?.version !== next.version - 1) return 'changed_since' as const
        const conflict = yield* conflictOf(tx, next, next.id, next.updatedAt)
        if (conflict) return conflict
        if (yield* takesLastAdmin(tx, current, next)) return 'last_admin' as const
        yield* tx.run(statements.update, rowOf(next, yield* nextChange(tx)))
        if (email !== 'undone') yield* reserveEmail(tx, current, next)
        else yield* tx.run(statements.endReservations, { userId: next.id, key: emailKey(next.email) })
        usersChanged(tx, next.id)
        yield* outbox.addNotices(tx, notices)
        return 'replaced' as const
      }),

    removeUser: (id, notices) =>
      engine.write(function* (tx) {
        const current = yield* tx.get(statements.byId, { id })
        if (!current) return 'not_found' as const
        if (yield* takesLastAdmin(tx, current, null)) return 'last_admin' as const
        yield* tx.run(statements.remove, { id })
        yield* tx.run(statements.addDeletedId, { id })
        yield* tx.run(statements.endReservationsOf, { userId: id })
        // No row has the number, but whoever cached what lists contain sees that it grew.
        yield* nextChange(tx)
        usersChanged(tx, id)
        yield* outbox.addNotices(tx, notices)
        return 'removed' as const
      }),

    async addNotice(notice) {
      await engine.write((tx) => outbox.addNotices(tx, [notice]))
    },

    userById: (id) => userById.get(id),
    userByEmail: async (email) => presentOrNull(await engine.get(statements.byEmail, { key: emailKey(email) })),
    userByUsername: async (username) => presentOrNull(await engine.get(statements.byUsername, { username })),

    namesTaken: async (user, self, now) => takenNames(await engine.all(statements.holders, holdersOf(user, now)), self),

    async usersNamed({ emails = [], ids = [], usernames = [] }) {
      const keys = JSON.stringify(emails.map(emailKey))
      const rows: Row[] = []
      if (emails.length > 0) rows.push(...(await engine.all(statements.byEmails, { keys })))
      if (usernames.length > 0)
        rows.push(...(await engine.all(statements.byUsernames, { usernames: JSON.stringify(usernames) })))
      if (ids.length > 0) rows.push(...(await engine.all(statements.byIds, { ids: JSON.stringify(ids) })))
      return [...new Map(rows.map((row) => [row.id, present(row)])).values()]
    },

    async listUsers(filter, request) {
      const slice = await lists.listUsers(filter, request)
      return { ...slice, rows: slice.rows.map(present) }
    },

    mergeSearch: () => search.merge(),

    async usersChangedAfter(after, limit) {
      const rows = await engine.all(statements.changedAfter, { after, limit })
      return { users: rows.map(present), last: rows.at(-1)?.change ?? null }
    },

    async probe() {
      await engine.write((tx) => tx.run(statements.probe))
      await engine.get(statements.probed)
    },
    close: () => engine.close(),
  }
}

function holdersOf({ email, username }: Pick<User, 'email' | 'username'>, now: number) {
  return { key: emailKey(email), username, now }
}

/** @param self the id whose own names do not conflict */
function takenNames(holders: { name: 'email' | 'username'; id: string }[], self: string | null): Taken[] {
  const names = holders.filter(({ id }) => id !== self).map(({ name }) => `${name}_taken` as const)
  return [...new Set(names)].toSorted()
}

/** @param change the number of the change that writes the row */
function rowOf(user: User, change: number): Omit<Row, 'seq'> {
  const columns = { ...user, emailKey: emailKey(user.email), passwordHash: toHashColumn(user.passwordHash) }
  return { ...columns, isAdmin: isActiveAdmin(user), change, searchText: searchTextOfUser(columns) }
}
