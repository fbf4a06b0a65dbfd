import type { NewNotice, OutboxStore } from '../kit/outbox/outbox.ts'
import type { PageRequest, Slice } from '../kit/schema/page.ts'

/** A module of the library. Times are milliseconds since the epoch. */
export interface Module {
  id: string
  name: string
  description: string
  version: string
  /** The roles that a user must hold, all of them. */
  requiredRoles: string[]
  /** The modules that must be on for a user before this one can be. */
  requires: string[]
  /** On for every user who has not chosen otherwise. */
  defaultEnabled: boolean
  createdAt: number
}

export type ModuleChanges = Partial<Omit<Module, 'id' | 'createdAt'>>

/** A module as it stands for one user. */
export interface UserModule {
  module: Module
  /** Null while it is off. On by default means on since the module was made. */
  enabledAt: number | null
  /** Whether that was chosen for this user; else it is the module's default. */
  chosen: boolean
}

export interface ModuleUser {
  userId: string
  enabledAt: number
}

/** A module that does not fit into the library, and the modules that it does not fit with. */
export interface Misfit {
  /**
   * - `unknown_requirement`: it requires modules that don't exist;
   * - `cycle`: what it requires leads back to itself;
   * - `requirement_not_default`: it is on by default, and what it requires is not.
   */
  outcome: 'unknown_requirement' | 'cycle' | 'requirement_not_default'
  modules: string[]
}

/** Other modules stand in the way. */
export interface Dependency {
  /** `required`: those require it. `requirement_off`: it requires those, and they are off. */
  outcome: 'required' | 'requirement_off'
  modules: string[]
}

export type Added = { outcome: 'added' } | { outcome: 'module_exists' } | Misfit
export type Changed = { outcome: 'changed'; module: Module } | { outcome: 'module_not_found' } | Misfit | Dependency
export type Removed = { outcome: 'removed' } | { outcome: 'module_not_found' } | Dependency
export type Switched =
  | { outcome: 'switched'; state: UserModule }
  | { outcome: 'module_not_found' | 'module_not_available' | 'user_not_found' }
  | Dependency

/** What the feed of a module tells: the module as it is, and what changed about it after a number. */
export interface ModuleNews {
  module: Pick<Module, 'defaultEnabled' | 'requiredRoles'> | null
  /** What was told before this number is void: the module was made, or removed, since. */
  begun: number
  /** In the order in which they changed. Null: nothing is chosen for the user any more. */
  choices: { userId: string; enabled: boolean | null }[]
  /** The number of the last of them; without any, that which was asked from. */
  seq: number
}

/**
 * What the modules service keeps. Each method is one transaction; notices are written in that of their change. Whatever
 * meets, a module that is on for a user never requires one that is off for it.
 */
export interface ModulesStore extends OutboxStore {
  /** A user who turned off what a new module requires does not get it by default. */
  addModule(module: Module, notices: NewNotice[]): Promise<Added>
  /**
   * `requirement_off`: someone has the module on and lacks what it would require. `required`: it would no longer be on
   * by default, while others that are require it. A change of the default leaves every user's choices whole: it does
   * not turn the module on without what it requires, nor off under one that was chosen.
   */
  changeModule(id: string, changes: ModuleChanges, notices: NewNotice[]): Promise<Changed>
  /** Takes what users chose about it along. */
  removeModule(id: string, notices: NewNotice[]): Promise<Removed>

  moduleById(id: string): Promise<Module | null>
  /** All of them, by id. */
  listModules(): Promise<Module[]>

  /** The library as it stands for a user, by id. */
  modulesOf(userId: string): Promise<UserModule[]>
  moduleOf(userId: string, id: string): Promise<UserModule | null>
  /** The users for whom it was chosen, by id; null where there is no such module. */
  usersOf(id: string, request: PageRequest): Promise<Slice<ModuleUser> | null>

  /**
   * Turns a module on for a user who holds `roles`; one that is on stays as it is, but as the user's choice from now on.
   * The notices are written only if that changed something. `user_not_found`: the user was deleted.
   */
  enableModule(
    id: string,
    user: { userId: string; roles: readonly string[] },
    now: number,
    notices: NewNotice[],
  ): Promise<Switched>
  /** Turns a module off for a user, whatever its roles; otherwise as `enableModule`. */
  disableModule(id: string, userId: string, notices: NewNotice[]): Promise<Switched>
  /** The database in which the numbers of the feed count. */
  readonly epoch: string
  /** Whether it was opened before: then there may be followers who know an older state. */
  readonly servedBefore: boolean
  /** The number of the last change of a module's feed. It rises, whatever becomes of the module; 0 before the first. */
  lastChange(id: string): Promise<number>
  /** What was changed about a module after `seq`: at most `limit` choices. */
  changesAfter(id: string, seq: number, limit: number): Promise<ModuleNews>

  /** Forgets what was chosen for a user, and takes nothing for it any more: ids are not given twice. */
  removeUser(userId: string): Promise<void>

  /** Writes and reads. @throws when either fails */
  probe(): Promise<void>
  close(): Promise<void>
}
