import type { Acknowledgement, SubscriberStore } from '../kit/feed/stored-subscribers.ts'
import type { NodeStore } from '../kit/nodes/nodes.ts'
import type { NewNotice, OutboxStore } from '../kit/outbox/outbox.ts'
import type { PageRequest, Slice } from '../kit/schema/page.ts'

/** A module of the library. Times are milliseconds since the epoch. */
export interface Module {
  id: string
  name: string
  description: string
  version: string
  /** A user must hold all of these roles. */
  requiredRoles: string[]
  /** The modules that must be on for a user before this one can be. */
  requires: string[]
  /** Whether the module is on for users who did not choose. */
  defaultEnabled: boolean
  createdAt: number
}

export type ModuleChanges = Partial<Omit<Module, 'id' | 'createdAt'>>

/** A module with its state for one user. */
export interface UserModule {
  module: Module
  /** Null while the module is off. A module that is on by default is on since its creation. */
  enabledAt: number | null
  /** Whether the state was chosen for this user; otherwise it is the default of the module. */
  chosen: boolean
}

export interface ModuleUser {
  userId: string
  enabledAt: number
}

/** A module that the library cannot take, and the modules that it conflicts with. */
export interface Misfit {
  /**
   * - `unknown_requirement`: it requires modules that don't exist;
   * - `cycle`: its requirements lead back to it;
   * - `requirement_not_default`: it is on by default, and a module that it requires is not.
   */
  outcome: 'unknown_requirement' | 'cycle' | 'requirement_not_default'
  modules: string[]
}

/** A change that other modules forbid. */
export interface Dependency {
  /** `required`: the modules listed require this one. `requirement_off`: this one requires them, and they are off. */
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

/** A page of a module's feed: the module as it is now, and the choices that changed after a number. */
export interface ModuleNews {
  module: Pick<Module, 'defaultEnabled' | 'requiredRoles'> | null
  /** Pages from before this number are void: the module was created or removed since. */
  begun: number
  /** In the order in which they changed. Null: the choice for the user was removed. */
  choices: { userId: string; enabled: boolean | null }[]
  /** The number of the last choice; without choices, the number that the page begins after. */
  seq: number
}

/**
 * The database of the modules service. Each method is one transaction, which also writes the notices of the change.
 * Whatever happens concurrently, a module that is on for a user never requires a module that is off for that user.
 */
export interface ModulesStore extends OutboxStore, NodeStore {
  /** Users who turned off a requirement of the new module are opted out of its default. */
  addModule(module: Module, notices: NewNotice[]): Promise<Added>
  /**
   * `requirement_off`: a user has the module on, and not a module that it would require. `required`: the module would no
   * longer be on by default, and modules that are on by default require it. A new default keeps every user's choices
   * consistent: it neither turns the module on without its requirements, nor off while a chosen module requires it.
   */
  changeModule(id: string, changes: ModuleChanges, notices: NewNotice[]): Promise<Changed>
  /** Removes the choices about the module too. */
  removeModule(id: string, notices: NewNotice[]): Promise<Removed>

  moduleById(id: string): Promise<Module | null>
  /** Every module, by id. */
  listModules(): Promise<Module[]>

  /** Every module with its state for a user, by id. */
  modulesOf(userId: string): Promise<UserModule[]>
  moduleOf(userId: string, id: string): Promise<UserModule | null>
  /** The users for whom the module was turned on, by id; null when the module does not exist. */
  usersOf(id: string, request: PageRequest): Promise<Slice<ModuleUser> | null>

  /**
   * Turns a module on for a user who holds `roles`. A module that is on by default becomes the user's own choice. Writes
   * the notices only if the state changed. `user_not_found`: the user was deleted.
   */
  enableModule(
    id: string,
    user: { userId: string; roles: readonly string[] },
    now: number,
    notices: NewNotice[],
  ): Promise<Switched>
  /** Turns a module off for a user, whatever their roles; otherwise like `enableModule`. */
  disableModule(id: string, userId: string, notices: NewNotice[]): Promise<Switched>
  /** Identifies the database that the numbers of the feed belong to. */
  readonly epoch: string
  /** Whether the database was opened before: then subscribers of an earlier process may still hold leases. */
  readonly servedBefore: boolean
  /** The subscribers of the feeds, for a database that several nodes share; null: only this process uses it. */
  readonly subscribers: SubscriberStore | null
  /** The number of the last change in a module's feed; 0 before the first. It only rises, even if the module is removed. */
  lastChange(id: string): Promise<number>
  /** The number of the last change in the feeds of all modules. */
  lastChangeOfAll(): Promise<number>
  /**
   * The page after `seq` of a module's feed, with at most `limit` choices.
   * @throws DatabaseUnavailable when the server lacks `poll`: it is an old primary
   */
  changesAfter(id: string, seq: number, limit: number, poll?: Acknowledgement): Promise<ModuleNews>

  /** Removes the choices for a deleted user, and refuses later ones. */
  removeUser(userId: string): Promise<void>

  /** Writes a row and reads it back. @throws when either fails */
  probe(): Promise<void>
  close(): Promise<void>
}
