import type { Caller } from '../kit/caller.ts'
import { timestamp } from '../kit/clock.ts'
import { errorOf, type FieldError, REQUIRED } from '../kit/field-errors.ts'
import { invalidField, Problem } from '../kit/problem.ts'
import { type PageQuery, pageAnswer, pageRequest } from '../kit/schema/page.ts'
import type { Sender } from '../kit/schema/validation.ts'
import { audited } from './audit.ts'
import { switchedEvent } from './events.ts'
import { found, inTheWay, isAvailable, type ModulesContext, moduleReadFor } from './library.ts'
import type { ModuleRead, UserModules } from './model.ts'
import type { Switched } from './store.ts'
import { refuseNaming, type Subject, subjectOf } from './subject.ts'

/**
 * Turns a module on for the caller, or for the user whom an operator names.
 * @throws Problem `forbidden_field`, `validation_failed`, `user_not_found`, `users_unavailable`, `module_not_found`,
 * `module_not_available`, `module_dependency`
 */
export function enableModule(
  context: ModulesContext,
  id: string,
  userId: string | undefined,
  caller: Caller,
): Promise<ModuleRead> {
  return switched(context, id, userId, caller, (subject) =>
    context.store.enableModule(id, subject, context.clock.now(), [
      audited(context, 'module.enabled', subject.userId, caller, { module: id }),
      ...switchedEvent(context, 'module.enabled', subject.userId, id),
    ]),
  )
}

/**
 * Turns a module off. What a user may no longer use it may still turn off.
 * @throws Problem as `enableModule`, but for `module_not_available`
 */
export function disableModule(
  context: ModulesContext,
  id: string,
  userId: string | undefined,
  caller: Caller,
): Promise<ModuleRead> {
  return switched(context, id, userId, caller, ({ userId }) =>
    context.store.disableModule(id, userId, [
      audited(context, 'module.disabled', userId, caller, { module: id }),
      ...switchedEvent(context, 'module.disabled', userId, id),
    ]),
  )
}

/** What is wrong with a switch beyond its schema. @throws Problem `forbidden_field` */
export function switchErrors(sent: { user_id?: unknown }, { caller }: Sender): FieldError[] {
  refuseNaming(sent, caller, 'body')
  return sent.user_id === undefined && caller.userId === null ? [errorOf('user_id', REQUIRED)] : []
}

async function switched(
  { feed, outbox, users }: ModulesContext,
  id: string,
  userId: string | undefined,
  caller: Caller,
  change: (subject: Subject) => Promise<Switched>,
): Promise<ModuleRead> {
  const subject = await subjectOf(users, caller, userId, 'body')
  if (!subject) throw invalidField('user_id', REQUIRED)
  const result = await change(subject)
  switch (result.outcome) {
    case 'switched':
      outbox.wake()
      await feed.announce(id)
      return moduleReadFor(subject, result.state)
    case 'required':
      throw inTheWay(`Required by ${result.modules.join(', ')}, enabled as well`)
    case 'requirement_off':
      throw inTheWay(`Requires ${result.modules.join(', ')}, not enabled yet`)
    default:
      throw new Problem(result.outcome)
  }
}

/**
 * The users who turned a module on, or had it turned on for them, by id. Those who have it by default alone are all
 * the others, and this service does not know them.
 * @throws Problem `module_not_found`, `validation_failed` for a cursor of another list
 */
export async function listModuleUsers({ store }: ModulesContext, id: string, query: PageQuery) {
  const list = JSON.stringify(['module-users', id])
  const request = pageRequest(query, list)
  return pageAnswer(found(await store.usersOf(id, request)), request, list, ({ userId, enabledAt }) => ({
    user_id: userId,
    enabled_at: timestamp(enabledAt),
  }))
}

/**
 * The modules that a user may use now: on, and its roles are those required. None for a user who does not exist.
 * @throws Problem `users_unavailable` when that can't be said without the users service
 */
export async function listUserModules(
  { store, users }: ModulesContext,
  id: string,
  { requestId }: Caller,
): Promise<UserModules> {
  const userId = id.toLowerCase()
  const enabled = (await store.modulesOf(userId)).filter(({ enabledAt }) => enabledAt !== null)
  // What was chosen for a user says that there is one; its roles matter only to a module that requires some.
  const known = enabled.every(({ module, chosen }) => chosen && module.requiredRoles.length === 0)
  const roles = known ? [] : await users.roles(userId, requestId)
  const usable = roles ? enabled.filter(({ module }) => isAvailable(module, roles)) : []
  return { user_id: userId, modules: usable.map(({ module }) => module.id) }
}

/** What the users service tells when a user is gone. May come twice, and before a change that is still under way. */
export async function userDeleted({ feed, store }: ModulesContext, userId: string): Promise<void> {
  await store.removeUser(userId.toLowerCase())
  await feed.announceAll()
}
