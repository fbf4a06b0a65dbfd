import type { Caller } from '../kit/caller.ts'
import { type Clock, timestamp } from '../kit/clock.ts'
import { notAllowed } from '../kit/field-errors.ts'
import type { Outbox } from '../kit/outbox/outbox.ts'
import { invalidField, Problem } from '../kit/problem.ts'
import type { Random } from '../kit/random.ts'
import type { EventType } from '../kit/schema/events.ts'
import { audited } from './audit.ts'
import type { ModuleFeed } from './feed.ts'
import type { ModuleCreate, ModulePatch, ModuleRead } from './model.ts'
import type { UsersPeer } from './peers.ts'
import type { Misfit, Module, ModuleChanges, ModulesStore, UserModule } from './store.ts'
import { type Subject, subjectOf } from './subject.ts'

export interface ModulesContext {
  store: ModulesStore
  clock: Clock
  random: Random
  users: UsersPeer
  /** Carries audit rows and events to auth. */
  outbox: Outbox
  /** What it tells the gates of other services, they know before an answer says so. */
  feed: ModuleFeed
  /** Whether someone outside listens to events of this type. */
  wants(type: EventType): boolean
}

const FIRST_VERSION = '1.0.0'

/** What a field of an update is called in the store. */
const FIELDS = {
  name: 'name',
  description: 'description',
  version: 'version',
  required_roles: 'requiredRoles',
  requires: 'requires',
  default_enabled: 'defaultEnabled',
} as const satisfies Record<keyof ModulePatch, keyof ModuleChanges>

/**
 * Every module, by id, as it stands for the user whom the request is about.
 * @param userId the user whom an operator names
 * @throws Problem `forbidden`, `user_not_found`, `users_unavailable`
 */
export async function listModules(
  { store, users }: ModulesContext,
  userId: string | undefined,
  caller: Caller,
): Promise<{ items: ModuleRead[] }> {
  const subject = await subjectOf(users, caller, userId, 'query')
  if (!subject) return { items: (await store.listModules()).map(moduleRead) }
  const states = await store.modulesOf(subject.userId)
  return { items: states.map((state) => moduleReadFor(subject, state)) }
}

/** One module, as `listModules` shows it. @throws Problem `module_not_found`, and as `listModules` */
export async function getModule(
  { store, users }: ModulesContext,
  id: string,
  userId: string | undefined,
  caller: Caller,
): Promise<ModuleRead> {
  const subject = await subjectOf(users, caller, userId, 'query')
  if (!subject) return moduleRead(found(await store.moduleById(id)))
  return moduleReadFor(subject, found(await store.moduleOf(subject.userId, id)))
}

/** Takes a module into the library. @throws Problem `module_exists`, `validation_failed` */
export async function createModule(context: ModulesContext, input: ModuleCreate, caller: Caller): Promise<ModuleRead> {
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
  const notice = audited(context, 'module.created', null, caller, { module: module.id })
  const added = await store.addModule(module, [notice])
  if (added.outcome === 'module_exists') throw new Problem('module_exists')
  if (added.outcome !== 'added') throw misfit(added)
  outbox.wake()
  await feed.announce(module.id)
  return moduleRead(module)
}

/** Changes what is given. @throws Problem `module_not_found`, `module_dependency`, `validation_failed` */
export async function patchModule(
  context: ModulesContext,
  id: string,
  input: ModulePatch,
  caller: Caller,
): Promise<ModuleRead> {
  const { feed, outbox, store } = context
  const current = found(await store.moduleById(id))
  const fields = (Object.keys(input) as (keyof ModulePatch)[]).filter((field) =>
    differs(current[FIELDS[field]], input[field]),
  )
  if (fields.length === 0) {
    await feed.announce(id)
    return moduleRead(current)
  }
  const changes: ModuleChanges = Object.fromEntries(fields.map((field) => [FIELDS[field], input[field]]))
  const notice = audited(context, 'module.updated', null, caller, { module: id, fields })
  const changed = await store.changeModule(id, changes, [notice])
  switch (changed.outcome) {
    case 'changed':
      outbox.wake()
      await feed.announce(id)
      return moduleRead(changed.module)
    case 'module_not_found':
      throw new Problem('module_not_found')
    case 'required':
      throw inTheWay(`Required by ${changed.modules.join(', ')}, enabled by default as well`)
    case 'requirement_off':
      throw inTheWay(`Enabled for users who do not have ${changed.modules.join(', ')}`)
    default:
      throw misfit(changed)
  }
}

/** Takes a module out of the library, and off for everyone. @throws Problem `module_not_found`, `module_dependency` */
export async function deleteModule(context: ModulesContext, id: string, caller: Caller): Promise<void> {
  const { feed, outbox, store } = context
  const notice = audited(context, 'module.deleted', null, caller, { module: id })
  const removed = await store.removeModule(id, [notice])
  const gone = removed.outcome === 'removed' || removed.outcome === 'module_not_found'
  if (!gone) throw inTheWay(`Required by ${removed.modules.join(', ')}`)
  outbox.wake()
  // Who hears that it is gone already may rely on that as well.
  await feed.announce(id)
  if (removed.outcome === 'module_not_found') throw new Problem('module_not_found')
}

/** @throws Problem `module_not_found` for null */
export function found<T>(module: T | null): T {
  if (module === null) throw new Problem('module_not_found')
  return module
}

/** A module that is shown to an operator, without anyone's state. */
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

/** A module with how it stands for a user. */
export function moduleReadFor({ roles }: Pick<Subject, 'roles'>, { module, enabledAt }: UserModule): ModuleRead {
  return {
    ...moduleRead(module),
    enabled: enabledAt !== null,
    enabled_at: enabledAt === null ? null : timestamp(enabledAt),
    available: isAvailable(module, roles),
  }
}

/** Whether the roles are all that the module requires. */
export function isAvailable({ requiredRoles }: Module, roles: readonly string[]): boolean {
  return requiredRoles.every((role) => roles.includes(role))
}

function misfit({ outcome, modules }: Misfit): Problem {
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

/** 409, saying which modules must be seen to first. */
export function inTheWay(message: string): Problem {
  return new Problem('module_dependency', { message })
}

function differs(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) !== JSON.stringify(other)
}
