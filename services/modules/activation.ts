import type { Caller } from '../kit/caller.ts'
import { type Clock, timestamp } from '../kit/clock.ts'
import { errorOf, type FieldError, REQUIRED } from '../kit/field-errors.ts'
import type { Outbox } from '../kit/outbox/outbox.ts'
import { invalidField, Problem } from '../kit/problem.ts'
import type { Random } from '../kit/random.ts'
import { type PageQuery, pageAnswer, pageRequest } from '../kit/schema/page.ts'
import type { RuleContext } from '../kit/schema/validation.ts'
import { moduleAuditNotice } from './audit.ts'
import { activationNotices, type EventContext } from './events.ts'
import type { ModuleFeed } from './feed.ts'
import { dependencyProblem, existing, isAvailable, moduleReadFor } from './library.ts'
import type { UsersPeer } from './peers.ts'
import type { UserModules } from './schemas/internal.ts'
import type { ModuleRead } from './schemas/library.ts'
import type { ModulesStore, Switched } from './store.ts'
import { refuseUserId, type Subject, subjectOf, type UserSelection } from './subject.ts'

export interface ActivationContext extends EventContext {
  store: ModulesStore
  clock: Clock
  random: Random
  users: UsersPeer
  /** Delivers audit rows and events to auth. */
  outbox: Pick<Outbox, 'wake'>
  /** Brings a change to the other services before it is answered. */
  feed: ModuleFeed
}

/**
 * Turns a module on for the caller, or for the user whom an operator names.
 * @throws Problem `forbidden_field`, `validation_failed`, `user_not_found`, `users_unavailable`, `module_not_found`,
 * `module_not_available`, `module_dependency`
 */
export function enableModule(context: ActivationContext, id: string, selection: UserSelection): Promise<ModuleRead> {
  return activate(context, id, selection, (subject) =>
    context.store.enableModule(
      id,
      subject,
      context.clock.now(),
      noticesOf(context, 'module.enabled', { id, userId: subject.userId, caller: selection.caller }),
    ),
  )
}

/**
 * Turns a module off. Users may turn off a module even if they may no longer use it.
 * @throws Problem those of `enableModule`, except for `module_not_available`
 */
export function disableModule(context: ActivationContext, id: string, selection: UserSelection): Promise<ModuleRead> {
  return activate(context, id, selection, ({ userId }) =>
    context.store.disableModule(
      id,
      userId,
      noticesOf(context, 'module.disabled', { id, userId, caller: selection.caller }),
    ),
  )
}

/** Checks what the schema of the body cannot. @throws Problem `forbidden_field` */
export function activationErrors(body: { user_id?: unknown }, { caller }: RuleContext): FieldError[] {
  refuseUserId({ userId: body.user_id, caller }, 'body')
  return body.user_id === undefined && caller.userId === null ? [errorOf('user_id', REQUIRED)] : []
}

function noticesOf(
  context: ActivationContext,
  type: 'module.enabled' | 'module.disabled',
  { caller, id, userId }: { id: string; userId: string; caller: Caller },
) {
  return [
    moduleAuditNotice(context, { type, userId, caller, detail: { module: id } }),
    ...activationNotices(context, { type, userId, module: id }),
  ]
}

async function activate(
  { feed, outbox, users }: ActivationContext,
  id: string,
  selection: UserSelection,
  change: (subject: Subject) => Promise<Switched>,
): Promise<ModuleRead> {
  const subject = await subjectOf(users, selection, 'body')
  if (!subject) throw invalidField('user_id', REQUIRED)
  const result = await change(subject)
  switch (result.outcome) {
    case 'switched':
      outbox.wake()
      await feed.announce(id)
      return moduleReadFor(subject, result.state)
    case 'required':
      throw dependencyProblem(`Required by ${result.modules.join(', ')}, enabled as well`)
    case 'requirement_off':
      throw dependencyProblem(`Requires ${result.modules.join(', ')}, not enabled yet`)
    default:
      throw new Problem(result.outcome)
  }
}

/**
 * Lists the users who turned a module on, or for whom an operator did, by id. Users who have the module only by default
 * are not listed: this service does not know them.
 * @throws Problem `module_not_found`, `validation_failed` for a cursor of another list
 */
export async function listModuleUsers({ store }: Pick<ActivationContext, 'store'>, id: string, query: PageQuery) {
  const list = JSON.stringify(['module-users', id])
  const request = pageRequest(query, list)
  return pageAnswer(existing(await store.usersOf(id, request)), request, list, ({ userId, enabledAt }) => ({
    user_id: userId,
    enabled_at: timestamp(enabledAt),
  }))
}

/**
 * Lists the modules that a user may use now: those that are on and whose required roles the user holds. A user who does
 * not exist has none.
 * @throws Problem `users_unavailable` when the answer depends on the users service and it can't be reached
 */
export async function listUserModules(
  { store, users }: Pick<ActivationContext, 'store' | 'users'>,
  id: string,
  { requestId }: Pick<Caller, 'requestId'>,
): Promise<UserModules> {
  const userId = id.toLowerCase()
  const enabled = (await store.modulesOf(userId)).filter(({ enabledAt }) => enabledAt !== null)
  // A choice for a user proves that the user exists, and roles matter only to modules that require some: then there is
  // no need to ask users.
  const needsNoRoles = enabled.every(({ module, chosen }) => chosen && module.requiredRoles.length === 0)
  const roles = needsNoRoles ? [] : await users.roles(userId, requestId)
  const usable = roles ? enabled.filter(({ module }) => isAvailable(module, roles)) : []
  return { user_id: userId, modules: usable.map(({ module }) => module.id) }
}

/** Removes the choices for a deleted user. Idempotent; refuses later changes for the user. */
export async function forgetUser(
  { feed, store }: Pick<ActivationContext, 'feed' | 'store'>,
  userId: string,
): Promise<void> {
  await store.removeUser(userId.toLowerCase())
  await feed.announceAll()
}
