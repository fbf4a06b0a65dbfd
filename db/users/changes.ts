import type { NewNotice } from '../../services/kit/outbox/outbox.ts'
import { emailKey } from '../../services/kit/schema/email.ts'
import { isLastAdmin, removesAdmin } from '../../services/users/last-admin.ts'
import { reservationBy } from '../../services/users/reservations.ts'
import type { NewUser, Taken, User, UsersStore } from '../../services/users/store.ts'
import { bulkInsert } from '../bulk-insert.ts'
import type { Body, Engine, Transaction } from '../engine.ts'
import type { outboxStore } from '../outbox.ts'
import { users } from '../schema/users.ts'
import { GivenNames, holdersOf } from './names.ts'
import { type Row, rowOf } from './rows.ts'
import { STATEMENTS as statements } from './statements.ts'

export const insertMany = bulkInsert(users, users.change, ['seq'])

interface Replacement {
  next: User
  notices: readonly NewNotice[]
  email: 'undone' | undefined
}

interface Removal {
  id: string
  notices: readonly NewNotice[]
  withoutRoles: readonly string[]
}

interface Parts {
  outbox: ReturnType<typeof outboxStore>
  /** Voids what is cached. @param id the user who changed; absent for a new one */
  changed(tx: Transaction, id?: string): void
}

/**
 * The changes of one user at a time. Those that arrive together share a transaction: each takes a number that others read in
 * order, and so one by one they would wait for each other.
 */
export function userChanges(engine: Engine, { changed, outbox }: Parts) {
  function* addEach(tx: Transaction, calls: readonly NewUser[]): Body<('added' | Taken)[]> {
    const holders = yield* holdersOf(
      tx,
      calls.map(({ user }) => [user, user.createdAt]),
    )
    const names = new GivenNames()
    const outcomes = calls.map(({ user }, index) => names.give(user, holders[index] ?? []) ?? 'added')
    const added = calls.filter((_, index) => outcomes[index] === 'added')
    const first = yield* firstChange(tx, added.length)
    const rows = added.map(({ user }, index) => rowOf(user, first + index))
    yield* tx.together([insert(tx, rows), outbox.addNotices(tx, noticesOf(added))])
    changed(tx)
    return outcomes
  }

  function* replaceEach(
    tx: Transaction,
    calls: readonly Replacement[],
  ): Body<('replaced' | 'changed_since' | 'last_admin' | Taken)[]> {
    const [stored, holders] = yield* tx.together([
      tx.getEach(
        statements.byId,
        calls.map(({ next }) => ({ id: next.id })),
      ),
      holdersOf(
        tx,
        calls.map(({ next }) => [next, next.updatedAt]),
      ),
    ])
    const mayTakeAdmin = yield* admins(
      tx,
      stored.map((before, index) => [before, calls[index]?.next ?? null]),
    )
    const names = new GivenNames()
    const outcomes = calls.map(({ next }, index) => {
      const before = stored[index]
      if (before?.version !== next.version - 1) return 'changed_since'
      const conflict = names.conflictOf(next, holders[index] ?? [])
      if (conflict) return conflict
      if (!mayTakeAdmin(before, next)) return 'last_admin'
      names.give(next, [])
      return 'replaced'
    })
    const replaced = calls.flatMap((call, index) => {
      const before = stored[index]
      return before && outcomes[index] === 'replaced' ? [{ ...call, before }] : []
    })
    const first = yield* firstChange(tx, replaced.length)
    yield* tx.together([
      tx.runEach(
        statements.update,
        replaced.map(({ next }, index) => rowOf(next, first + index)),
      ),
      ...replaced.map((each) => reserveEmail(tx, each)),
      outbox.addNotices(tx, noticesOf(replaced)),
    ])
    for (const { next } of replaced) changed(tx, next.id)
    return outcomes
  }

  function* removeEach(
    tx: Transaction,
    calls: readonly Removal[],
  ): Body<('removed' | 'not_found' | 'kept' | 'last_admin')[]> {
    const stored = yield* tx.getEach(
      statements.byId,
      calls.map(({ id }) => ({ id })),
    )
    const mayTakeAdmin = yield* admins(
      tx,
      stored.map((before) => [before, null]),
    )
    const outcomes = stored.map((before, index) => {
      if (!before) return 'not_found'
      if (calls[index]?.withoutRoles.some((role) => before.roles.includes(role))) return 'kept'
      return mayTakeAdmin(before, null) ? 'removed' : 'last_admin'
    })
    const removed = calls.filter((_, index) => outcomes[index] === 'removed')
    const ids = removed.map(({ id }) => ({ id }))
    yield* tx.together([
      tx.runEach(statements.remove, ids),
      tx.runEach(statements.addDeletedId, ids),
      tx.runEach(statements.endReservationsOf, ids),
      // No row has the numbers, but whoever cached what lists contain sees that they grew.
      firstChange(tx, removed.length),
      outbox.addNotices(tx, noticesOf(removed)),
    ])
    for (const { id } of removed) changed(tx, id)
    return outcomes
  }

  const add = engine.grouped(addEach, ({ user }) => user.id)
  const replace = engine.grouped(replaceEach, ({ next }) => next.id)
  const remove = engine.grouped(removeEach, ({ id }) => id)
  return {
    addUser: (user, notices) => add({ user, notices }),
    replaceUser: (next, notices, email) => replace({ next, notices, email }),
    removeUser: (id, notices, withoutRoles = []) => remove({ id, notices, withoutRoles }),
  } satisfies Partial<UsersStore>
}

/** Inserts new users. On SQLite one alone takes three quarters of the time by a statement of its own. */
function* insert(tx: Transaction, rows: readonly Omit<Row, 'seq'>[]): Body<void> {
  const [first] = rows
  if (first && rows.length === 1) yield* tx.run(statements.insert, first)
  else if (rows.length > 1 && (yield* insertMany(tx, rows)).size < rows.length)
    throw new Error('The id of a new user is taken')
}

/** Takes the numbers of the next changes. @returns the first of them */
export function* firstChange(tx: Transaction, count: number): Body<number> {
  if (count === 0) return 0
  return ((yield* tx.get(statements.nextChanges, { count }))?.value ?? 0) - count + 1
}

/**
 * Reads how many administrators there are, if one of the changes takes one away.
 * @param changes the user before and after each; null: removed
 * @returns whether a change may be made, asked for one after another
 */
function* admins(tx: Transaction, changes: readonly [Row | undefined, User | null][]) {
  const removals = changes.filter(([before, after]) => before && removesAdmin(before, after)).length
  let remaining = removals > 0 ? (yield* tx.all(statements.admins, { limit: removals + 1 })).length : 0
  return (before: Row, after: User | null): boolean => {
    if (!removesAdmin(before, after)) return true
    if (isLastAdmin(remaining)) return false
    remaining--
    return true
  }
}

/** Reserves the email that a change takes from a user, and forgets the reservations that have expired. */
function* reserveEmail(tx: Transaction, { before, email, next }: Replacement & { before: Row }): Body<void> {
  if (email === 'undone') {
    yield* tx.run(statements.endReservations, { userId: next.id, key: emailKey(next.email) })
    return
  }
  const reservation = reservationBy(before, next)
  if (!reservation) return
  yield* tx.run(statements.forgetReservations, { now: next.updatedAt })
  yield* tx.run(statements.reserve, { ...reservation })
}

function noticesOf(calls: readonly { notices: readonly NewNotice[] }[]): NewNotice[] {
  return calls.flatMap(({ notices }) => notices)
}
