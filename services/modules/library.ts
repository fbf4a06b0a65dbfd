import type { Caller } from '../kit/caller.ts'
import { type Clock, timestamp } from '../kit/clock.ts'
import { notAllowed } from '../kit/field-errors.ts'
import type { Outbox } from '../kit/outbox/outbox.ts'
import { invalidField, Problem } from '../kit/problem.ts'
import type { Random } from '../kit/random.ts'
import { moduleAuditNotice } from './audit.ts'
import type { ModuleFeed } from './feed.ts'
import type { UsersPeer } from './peers.ts'
import type { ModuleCreate, ModulePatch, ModuleRead } from './schemas/library.ts'
import type { Misfit, Module, ModuleChanges, ModulesStore, UserModule } from './store.ts'
import { type Subject, subjectOf, type UserSelection } from './subject.ts'

export interface LibraryContext {
  store: ModulesStore
  clock: Clock
  random: Random
  users: UsersPeer
  /** Delivers audit rows to auth. */
  outbox: Pick<Outbox, 'wake'>
  /** Brings a change to the other services before it is answered. */
  feed: Pick<ModuleFeed, 'announce'>
}

const FIRST_VERSION = '1.0.0'

/** The fields of an update, by their names in the store. */
const FIELDS = {
  name: 'name',
  description: 'description',
  version: 'version',
  required_roles: 'requiredRoles',
  requires: 'requires',
  default_enabled: 'defaultEnabled',
} as const satisfies Record<keyof ModulePatch, keyof ModuleChanges>

type ReadContext = Pick<LibraryContext, 'store' | 'users'>

/**
 * Lists every module by id, with its state for the user whom the request is about.
 * @throws Problem `forbidden`, `user_not_found`, `users_unavailable`
 */
export async function listModules(
  { store, users }: ReadContext,
  selection: UserSelection,
): Promise<{ items: ModuleRead[] }> {
  const subject = await subjectOf(users, selection, 'query')
  if (!subject) return { items: (await store.listModules()).map(moduleRead) }
  const states = await store.modulesOf(subject.userId)
  return { items: states.map((state) => moduleReadFor(subject, state)) }
}

/** Reads one module. @throws Problem `module_not_found`, and those of `listModules` */
export async function getModule(
  { store, users }: ReadContext,
  id: string,
  selection: UserSelection,
): Promise<ModuleRead> {
  const subject = await subjectOf(users, selection, 'query')
  if (!subject) return moduleRead(existing(await store.moduleById(id)))
  return moduleReadFor(subject, existing(await store.moduleOf(subject.userId, id)))
}

/** Adds a module to the library. @throws Problem `module_exists`, `validation_failed` */
export async function createModule(context: LibraryContext, input: ModuleCreate, caller: Caller): Promise<ModuleRead> {
  const { clock, feed, outbox, store } = context
  const module: Module = {
    id: input.id,
    name: input.name,
    description: input.description,
    version: input.version ?? FIRST_VERSION,
    requiredRoles: input.required_roles ?? [],
    requires: input.requires ?? [],
    defaultEnabled: input.default_enabled ?? false,
    createdAt: clock.now(),
  }
  const notice = libraryNotice(context, 'module.created', { caller, detail: { module: module.id } })
  const added = await store.addModule(module, [notice])
  if (added.outcome === 'module_exists') throw new Problem('module_exists')
  if (added.outcome !== 'added') throw misfitProblem(added)
  outbox.wake()
  await feed.announce(module.id)
  return moduleRead(module)
}

/** Changes the fields of the update. @throws Problem `module_not_found`, `module_dependency`, `validation_failed` */
export async function patchModule(
  context: LibraryContext,
  id: string,
  input: ModulePatch,
  caller: Caller,
): Promise<ModuleRead> {
  const { feed, outbox, store } = context
  const current = existing(await store.moduleById(id))
  const fields = (Object.keys(input) as (keyof ModulePatch)[]).filter((field) =>
    differs(current[FIELDS[field]], input[field]),
  )
  if (fields.length === 0) {
    await feed.announce(id)
    return moduleRead(current)
  }
  const changes: ModuleChanges = Object.fromEntries(fields.map((field) => [FIELDS[field], input[field]]))
  const notice = libraryNotice(context, 'module.updated', { caller, detail: { module: id, fields } })
  const changed = await store.changeModule(id, changes, [notice])
  switch (changed.outcome) {
    case 'changed':
      outbox.wake()
      await feed.announce(id)
      return moduleRead(changed.module)
    case 'module_not_found':
      throw new Problem('module_not_found')
    case 'required':
      throw dependencyProblem(`Required by ${changed.modules.join(', ')}, enabled by default as well`)
    case 'requirement_off':
      throw dependencyProblem(`Enabled for users who do not have ${changed.modules.join(', ')}`)
    default:
      throw misfitProblem(changed)
  }
}

/** Removes a module from the library, and turns it off for everyone. @throws Problem `module_not_found`, `module_dependency` */
export async function deleteModule(context: LibraryContext, id: string, caller: Caller): Promise<void> {
  const { feed, outbox, store } = context
  const notice = libraryNotice(context, 'module.deleted', { caller, detail: { module: id } })
  const removed = await store.removeModule(id, [notice])
  const isGone = removed.outcome === 'removed' || removed.outcome === 'module_not_found'
  if (!isGone) throw dependencyProblem(`Required by ${removed.modules.join(', ')}`)
  outbox.wake()
  // Announces even when the module was gone: a concurrent deletion may not have been acknowledged yet.
  await feed.announce(id)
  if (removed.outcome === 'module_not_found') throw new Problem('module_not_found')
}

/** @throws Problem `module_not_found` for null */
export function existing<T>(module: T | null): T {
  if (module === null) throw new Problem('module_not_found')
  return module
}

/** A module without the state of a user, for operators. */
function moduleRead(module: Module): ModuleRead {
  return {
    id: module.id,
    name: module.name,
    description: module.description,
    version: module.version,
    required_roles: module.requiredRoles,
    requires: module.requires,
    enabled: null,
    enabled_at: null,
    available: null,
  }
}

/** A module with its state for a user. */
export function moduleReadFor({ roles }: Pick<Subject, 'roles'>, { module, enabledAt }: UserModule): ModuleRead {
  return {
    ...moduleRead(module),
    enabled: enabledAt !== null,
    enabled_at: enabledAt === null ? null : timestamp(enabledAt),
    available: isAvailable(module, roles),
  }
}

/** Whether the roles include every role that the module requires. */
export function isAvailable({ requiredRoles }: Module, roles: readonly string[]): boolean {
  return requiredRoles.every((role) => roles.includes(role))
}

function misfitProblem({ outcome, modules }: Misfit): Problem {
  const names = modules.join(', ')
  if (outcome === 'unknown_requirement')
    return invalidField('requires', notAllowed(`must name existing modules: ${names}`))
  if (outcome === 'cycle')
    return invalidField('requires', notAllowed(`must not lead back to the module itself: ${names}`))
  return invalidField(
    'default_enabled',
    notAllowed(`must not be true while a required module is not on by default: ${names}`),
  )
}

/** 409; the message names the modules to change first. */
export function dependencyProblem(message: string): Problem {
  return new Problem('module_dependency', { message })
}

function libraryNotice(
  context: Pick<LibraryContext, 'clock' | 'random'>,
  type: `module.${string}`,
  event: { caller: Caller; detail: { module: string } & Record<string, unknown> },
) {
  return moduleAuditNotice(context, { type, userId: null, ...event })
}

function differs(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) !== JSON.stringify(other)
}
