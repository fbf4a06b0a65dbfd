import type { LimitStore } from '../kit/limits.ts'
import type { NodeStore } from '../kit/nodes/nodes.ts'
import type { NewNotice, OutboxStore } from '../kit/outbox/outbox.ts'
import type { PageRequest, Slice } from '../kit/schema/page.ts'
import type { Profile } from '../kit/schema/user.ts'

export type Status = 'active' | 'disabled'

/** A user as it is stored. Times are milliseconds since the epoch. */
export interface User extends Profile {
  id: string
  email: string
  username: string | null
  name: string | null
  roles: string[]
  status: Status
  emailVerified: boolean
  /** Null: the user has no password, and can't log in by one. */
  passwordHash: string | null
  /** Grows by one with every change. */
  version: number
  /** Sessions opened from an older version have ended, except `sessionKept`. */
  sessionsFrom: number
  sessionKept: string | null
  /** Sessions opened from an older version have ended, without exception. */
  allSessionsFrom: number
  /** Access tokens issued from an older version have ended. */
  tokensFrom: number
  /** Second factors that were added before this version are void: someone else may have added them. */
  factorsFrom: number
  createdAt: number
  updatedAt: number
}

export interface UserFilter {
  /** A part of the email, the username or the name, compared as `foldForSearch` writes them. */
  search?: string
  role?: string
  status?: Status
  hasPassword?: boolean
  emailVerified?: boolean
  /** Only users who have none of these roles. */
  withoutRoles?: readonly string[]
  sort: 'created_at' | '-created_at' | 'email' | '-email'
}

/** An email that only its earlier user can take. */
export interface Reservation {
  emailKey: string
  userId: string
  /** Milliseconds since the epoch. */
  until: number
}

/** A name that another user has, or an email that is reserved for one. */
export type Taken = 'email_taken' | 'username_taken'

/** A user to add, and the notices to write if they are added. */
export interface NewUser {
  user: User
  notices: NewNotice[]
}

/** The database of the users service. Each method is one transaction, and writes its notices in it. */
export interface UsersStore extends OutboxStore, LimitStore, NodeStore {
  /** Adds a user, at their `createdAt`. */
  addUser(user: User, notices: NewNotice[]): Promise<'added' | Taken>
  /**
   * Adds all users whose names are free, in one transaction, and gives the outcome of each, in order. `id_taken`: a
   * user has the id, or a deleted one had it.
   * @param now milliseconds since the epoch: the users may have been created elsewhere long ago
   * @param notices makes further notices from the number of users who were added; not called for none
   */
  addUsers(
    users: readonly NewUser[],
    now: number,
    notices?: (added: number) => NewNotice[],
  ): Promise<('added' | 'id_taken' | Taken)[]>
  /**
   * Replaces a record by `next`, at its `updatedAt`, if the stored version is the one before `next.version`. Reserves an
   * email that it replaces (`reservationBy`).
   * `last_admin`: no active user with ADMIN would remain.
   * @param email `undone`: the email is the earlier one again; its reservation and all later ones of the user end
   */
  replaceUser(
    next: User,
    notices: NewNotice[],
    email?: 'undone',
  ): Promise<'replaced' | 'changed_since' | 'last_admin' | Taken>
  /**
   * Removes a user. `kept`: the user has one of the roles `withoutRoles`; `last_admin`: no active user with ADMIN would
   * remain.
   */
  removeUser(
    id: string,
    notices: NewNotice[],
    withoutRoles?: readonly string[],
  ): Promise<'removed' | 'not_found' | 'last_admin' | 'kept'>
  addNotice(notice: NewNotice): Promise<void>
  /** Adds notices in one transaction. */
  addNotices(notices: readonly NewNotice[]): Promise<void>
  /** Whether a user had this id and was deleted. */
  wasDeleted(id: string): Promise<boolean>
  /** The earlier emails that are reserved for a user, as they are compared. */
  reservedEmails(userId: string): Promise<string[]>

  userById(id: string): Promise<User | null>
  /** Compares without case. */
  userByEmail(email: string): Promise<User | null>
  /** @param username in lower case */
  userByUsername(username: string): Promise<User | null>
  /**
   * The names of `user` that others have, or that are reserved for others.
   * @param self the id whose own names do not conflict; null: the user does not exist yet
   */
  namesTaken(user: Pick<User, 'email' | 'username'>, self: string | null, now: number): Promise<Taken[]>
  /** All users who have one of the names, each once, in no order. Usernames and ids are in lower case. */
  usersNamed(names: { emails?: string[]; usernames?: string[]; ids?: string[] }): Promise<User[]>
  listUsers(filter: UserFilter, request: PageRequest): Promise<Slice<User>>
  /** Does a part of the merging that keeps searches fast after many changes. @returns whether there is more to do */
  mergeSearch(): Promise<boolean>
  /** The users whose last change has a number above `after`, in the order of change. */
  usersChangedAfter(after: number, limit: number): Promise<{ users: User[]; last: number | null }>

  /** Writes a row and reads it back. @throws when either fails */
  probe(): Promise<void>
  close(): Promise<void>
}
