import { emailKey } from '../../services/kit/schema/email.ts'
import type { Taken, User } from '../../services/users/store.ts'
import type { Body, Transaction } from '../engine.ts'
import { STATEMENTS as statements } from './statements.ts'

type Names = Pick<User, 'email' | 'username'>

/** The user who has a name, or for whom an email is reserved. */
export interface Holder {
  name: 'email' | 'username'
  id: string
}

type RequestedNames = readonly [names: Names, now: number]

/** The parameters of the statement that reads who has names, or for whom emails are reserved at a time. */
export function namesOf(list: readonly RequestedNames[]) {
  return { names: JSON.stringify(list.map(([{ email, username }, now]) => [emailKey(email), username, now])) }
}

/** Reads who has names. @returns the holders of each */
export function* holdersOf(tx: Transaction, list: readonly RequestedNames[]): Body<Holder[][]> {
  const holders: Holder[][] = list.map(() => [])
  if (list.length === 0) return holders
  for (const { place, ...holder } of yield* tx.all(statements.holders, namesOf(list))) holders[place]?.push(holder)
  return holders
}

/** @param self the id whose own names do not conflict */
export function takenNames(holders: readonly Holder[], self: string | null): Taken[] {
  return sorted(holders.filter(({ id }) => id !== self).map(({ name }) => `${name}_taken` as const))
}

/** The names that the users of one transaction get, one after another. No two of the users have one id. */
export class GivenNames {
  private readonly emails = new Set<string>()
  private readonly usernames = new Set<string>()

  /** @param holders who has the names in the database */
  conflictOf({ email, id, username }: Names & { id: string }, holders: readonly Holder[]): Taken | undefined {
    const conflicts = takenNames(holders, id)
    if (this.emails.has(emailKey(email))) conflicts.push('email_taken')
    if (username !== null && this.usernames.has(username)) conflicts.push('username_taken')
    return sorted(conflicts)[0]
  }

  /** Gives a user their names, unless another has one of them. @returns the name that another has */
  give(user: Names & { id: string }, holders: readonly Holder[]): Taken | undefined {
    const conflict = this.conflictOf(user, holders)
    if (conflict) return conflict
    this.emails.add(emailKey(user.email))
    if (user.username !== null) this.usernames.add(user.username)
    return undefined
  }
}

function sorted(conflicts: readonly Taken[]): Taken[] {
  return [...new Set(conflicts)].toSorted()
}
