import type { NewNotice } from '../../services/kit/outbox/outbox.ts'
import { emailKey } from '../../services/kit/schema/email.ts'
import type { NewUser, Taken, UsersStore } from '../../services/users/store.ts'
import type { Body, Engine, Transaction } from '../engine.ts'
import { limitStore } from '../limits.ts'
import { nodeStore } from '../nodes.ts'
import { type DatabaseConfig, type DatabaseDefinition, openStore } from '../open.ts'
import { outboxStore } from '../outbox.ts'
import { fromHashColumn } from '../password-hash.ts'
import { usersMigrations as postgres } from '../postgres/migrations/users.ts'
import { rowReader } from '../row-reader.ts'
import * as schema from '../schema/users.ts'
import { usersMigrations as sqlite } from '../sqlite/migrations/users.ts'
import { firstChange, insertMany, userChanges } from './changes.ts'
import { userLists } from './list.ts'
import { holdersOf, namesOf, takenNames } from './names.ts'
import { present, presentOrNull, type Row, rowOf } from './rows.ts'
import { searchMerger } from './search-merging.ts'
import { STATEMENTS as statements } from './statements.ts'

const { users } = schema

const DATABASE: DatabaseDefinition = { name: 'users', schema, sqlite, postgres }

/** Opens the store of the users service. @throws DatabaseError */
export function openUsersStore(config: DatabaseConfig): Promise<UsersStore> {
  return openStore(config, DATABASE, usersStore)
}

const readUser = rowReader(users, 'id = $id', ['seq', 'emailKey', 'isAdmin', 'change', 'searchText'])

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
    const first = yield* firstChange(tx, newUsers.length)
    const rows = newUsers.map(({ user }, index) => rowOf(user, first + index))
    usersChanged(tx)
    const added = yield* insertMany(
      tx,
      rows.filter((row) => !deleted.has(row.id) && !reserved.has(row.emailKey)),
    )
    const isAdded = newUsers.map((_, index) => added.has(first + index))
    const notices = newUsers.flatMap((newUser, index) => (isAdded[index] ? newUser.notices : []))
    yield* outbox.addNotices(tx, added.size > 0 ? [...notices, ...summary(added.size)] : notices)
    const refused = newUsers.filter((_, index) => !isAdded[index])
    const holders = yield* holdersOf(
      tx,
      refused.map(({ user }) => [user, now]),
    )
    const reasons = holders.map((list) => takenNames(list, null)[0] ?? 'id_taken')
    return isAdded.map((each) => (each ? 'added' : (reasons.shift() ?? 'id_taken')))
  }

  return {
    ...outbox,
    ...limitStore(engine),
    ...nodeStore(engine),
    ...userChanges(engine, { outbox, changed: usersChanged }),

    addUsers: (newUsers, now, summary = () => []) =>
      newUsers.length > 0 ? engine.write((tx) => addMany(tx, newUsers, now, summary)) : Promise.resolve([]),

    async addNotice(notice) {
      await engine.write((tx) => outbox.addNotices(tx, [notice]))
    },

    async addNotices(notices) {
      await engine.write((tx) => outbox.addNotices(tx, notices))
    },
    wasDeleted: async (id) => (await engine.all(statements.deletedAmong, { ids: JSON.stringify([id]) })).length > 0,
    reservedEmails: async (id) => (await engine.all(statements.reservedFor, { id })).map((row) => row.emailKey),

    userById: (id) => userById.get(id),
    userByEmail: async (email) => presentOrNull(await engine.get(statements.byEmail, { key: emailKey(email) })),
    userByUsername: async (username) => presentOrNull(await engine.get(statements.byUsername, { username })),

    namesTaken: async (user, self, now) =>
      takenNames(await engine.all(statements.holders, namesOf([[user, now]])), self),

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
