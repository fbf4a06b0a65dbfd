import type { LimitStore } from '../kit/limits.ts'
import type { NewNotice, OutboxStore } from '../kit/outbox/outbox.ts'
import type { PageRequest, Slice } from '../kit/schema/page.ts'

export type Status = 'active' | 'disabled'

/** A user as it is kept. Times are milliseconds since the epoch. */
export interface User {
  id: string
  email: string
  username: string | null
  name: string | null
  roles: string[]
  status: Status
  emailVerified: boolean
  /** Null: there is no password, and no login by one. */
  passwordHash: string | null
  /** Grows by one with every change. */
  version: number
  /** Sessions opened from an older version than this have ended, … */
  sessionsFrom: number
  /** … all but this one. */
  sessionKept: string | null
  /** Sessions opened from an older version than this have ended, without exception. */
  allSessionsFrom: number
  /** Access tokens made from an older version than this have ended. */
  tokensFrom: number
  createdAt: number
  updatedAt: number
}

export interface UserFilter {
  /** A part of the email, the username or the name, however its letters are written (`foldForSearch`). */
  search?: string
  role?: string
  status?: Status
  hasPassword?: boolean
  emailVerified?: boolean
  sort: 'created_at' | '-created_at' | 'email' | '-email'
}

export type Taken = 'email_taken' | 'username_taken'

/** A user to be made, and what is told of it if it is. */
export interface NewUser {
  user: User
  notices: NewNotice[]
}

/** What the users service keeps. Each method is one transaction; notices are written in that of their change. */
export interface UsersStore extends OutboxStore, LimitStore {
  addUser(user: User, notices: NewNotice[]): Promise<'added' | Taken>
  /**
   * Makes all those that can be made, in one transaction, and answers for each in order. `id_taken`: by a user, or by
   * one who was removed.
   * @param told what is told of how many were made, if any were
   */
  addUsers(users: readonly NewUser[], told?: (added: number) => NewNotice[]): Promise<('added' | 'id_taken' | Taken)[]>
  /**
   * Puts `next` in the place of the user's record, if that is still of the version before `next.version`.
   * `last_admin`: it would have left no active user with ADMIN.
   */
  replaceUser(next: User, notices: NewNotice[]): Promise<'replaced' | 'changed_since' | 'last_admin' | Taken>
  removeUser(id: string, notices: NewNotice[]): Promise<'removed' | 'not_found' | 'last_admin'>
  addNotice(notice: NewNotice): Promise<void>

  userById(id: string): Promise<User | null>
  /** In any case. */
  userByEmail(email: string): Promise<User | null>
  userByUsername(username: string): Promise<User | null>
  /** All who have one of these, each once, in no order. Usernames and ids in lower case. */
  usersNamed(names: { emails?: string[]; usernames?: string[]; ids?: string[] }): Promise<User[]>
  listUsers(filter: UserFilter, request: PageRequest): Promise<Slice<User>>
  /** Does a part of what makes searches fast again after many changes. Gives whether there is more of it. */
  mergeSearch(): Promise<boolean>
  /** In the order of their last change, those after the change `after`. */
  usersChangedAfter(after: number, limit: number): Promise<{ users: User[]; last: number | null }>

  /** Writes and reads. @throws when either fails */
  probe(): Promise<void>
  close(): Promise<void>
}
