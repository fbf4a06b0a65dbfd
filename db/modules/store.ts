import { drizzle } from 'drizzle-orm/bun-sqlite'
import type { NewNotice } from '../../services/kit/outbox/outbox.ts'
import type { Position } from '../../services/kit/schema/page.ts'
import type { Dependency, Module, ModulesStore, Switched, UserModule } from '../../services/modules/store.ts'
import { outboxStore } from '../outbox.ts'
import * as schema from '../schema/modules.ts'
import { openDatabase, type Sqlite } from '../sqlite/engine.ts'
import { modulesMigrations } from '../sqlite/migrations/modules.ts'
import { RowCache } from '../sqlite/row-cache.ts'
import { moduleFeedStore } from './feed.ts'
import { misfitOf, requiring } from './requirements.ts'
import { prepareStatements } from './statements.ts'

/** Opens the modules database at `path`. @throws DatabaseError */
export function openModulesStore(path: string): ModulesStore {
  return modulesStore(openDatabase(path, 'modules', modulesMigrations))
}

/** Thrown within a write: undoes what it wrote before a look at all users showed that it may not be. */
class Undone extends Error {
  constructor(readonly dependency: Dependency) {
    super(dependency.outcome)
  }
}

function modulesStore(sqlite: Sqlite): ModulesStore {
  const query = prepareStatements(drizzle(sqlite.raw, { schema }), sqlite)
  const outbox = outboxStore(sqlite)

  /** Who turned off what the module requires is without the module too, until it says otherwise. */
  const spareThoseWithout = ({ id, requires }: Module) =>
    query.chooseAlike.run({ id, enabled: 0, enabledAt: null, others: JSON.stringify(requires) })

  /** Who turned on what requires the module keeps the module. */
  const keepForThoseWith = ({ id, createdAt }: Module, dependents: string[]) =>
    query.chooseAlike.run({ id, enabled: 1, enabledAt: createdAt, others: JSON.stringify(dependents) })

  /** The requirements, out of some, that someone who has the module on has not. */
  const missing = ({ id, defaultEnabled }: Module, requirements: Module[]) =>
    requirements.filter((required) =>
      query.lacks.get({
        id,
        isDefault: defaultEnabled,
        required: required.id,
        requiredIsDefault: required.defaultEnabled,
      }),
    )

  const library = new RowCache(sqlite, () => query.all.all())
  const choicesOf = new RowCache(sqlite, (userId) => query.choicesOf.all({ userId }))
  const libraryChanged = () => {
    library.forgetAll()
    choicesOf.forgetAll()
  }

  const allModules = () => library.get('all') ?? []
  const statesOf = (userId: string): UserModule[] => {
    const chosen = new Map(choicesOf.get(userId)?.map((choice) => [choice.moduleId, choice]))
    return allModules().map((module) => stateOf({ module, choice: chosen.get(module.id) ?? null }))
  }

  const choose = (userId: string, before: UserModule, enabledAt: number | null, notices: NewNotice[]): Switched => {
    const { module } = before
    const enabled = enabledAt !== null
    if (!before.chosen || before.enabledAt !== enabledAt)
      query.choose.run({ userId, moduleId: module.id, enabled, enabledAt })
    choicesOf.forget(userId)
    if (enabled !== (before.enabledAt !== null)) outbox.addNotices(notices)
    return { outcome: 'switched', state: { module, enabledAt, chosen: true } }
  }

  return {
    ...outbox,
    ...moduleFeedStore(sqlite, query),

    addModule: (module, notices) =>
      sqlite.write(() => {
        if (query.byId.get({ id: module.id })) return { outcome: 'module_exists' } as const
        const misfit = misfitOf(module, query.all.all())
        if (misfit) return misfit
        query.insert.run({ ...module })
        libraryChanged()
        if (module.defaultEnabled) spareThoseWithout(module)
        outbox.addNotices(notices)
        return { outcome: 'added' } as const
      }),

    changeModule: (id, changes, notices) =>
      sqlite
        .write(() => {
          const library = query.all.all()
          const current = library.find((module) => module.id === id)
          if (!current) return { outcome: 'module_not_found' } as const
          const module: Module = { ...current, ...changes }
          const misfit = misfitOf(module, library)
          if (misfit) return misfit
          query.update.run({ ...module })
          libraryChanged()
          if (module.defaultEnabled && !current.defaultEnabled) spareThoseWithout(module)
          if (!module.defaultEnabled && current.defaultEnabled) {
            const byDefault = library.filter(({ defaultEnabled }) => defaultEnabled)
            refuse('required', requiring(id, byDefault))
            keepForThoseWith(module, requiring(id, library))
          }
          const added = library.filter(
            (other) => module.requires.includes(other.id) && !current.requires.includes(other.id),
          )
          refuse(
            'requirement_off',
            missing(module, added).map((required) => required.id),
          )
          outbox.addNotices(notices)
          return { outcome: 'changed', module } as const
        })
        .catch((error: unknown) => {
          if (error instanceof Undone) return error.dependency
          throw error
        }),

    removeModule: (id, notices) =>
      sqlite.write(() => {
        if (!query.byId.get({ id })) return { outcome: 'module_not_found' } as const
        const dependents = requiring(id, query.all.all())
        if (dependents.length > 0) return { outcome: 'required', modules: dependents } as const
        query.remove.run({ id })
        libraryChanged()
        outbox.addNotices(notices)
        return { outcome: 'removed' } as const
      }),

    moduleById: async (id) => query.byId.get({ id }) ?? null,
    listModules: async () => allModules(),

    modulesOf: async (userId) => statesOf(userId),
    async moduleOf(userId, id) {
      const row = query.oneOfUser.get({ userId, id })
      return row ? stateOf(row) : null
    },

    async usersOf(id, request) {
      if (!query.byId.get({ id })) return null
      const rows = query.users.all({
        id,
        after: 'after' in request ? String(request.after[0]) : '',
        limit: request.size + 1,
        offset: 'page' in request ? (request.page - 1) * request.size : 0,
      })
      const shown = rows.slice(0, request.size).map(({ userId, enabledAt }) => ({ userId, enabledAt: enabledAt ?? 0 }))
      const last = shown.at(-1)
      const next: Position | null = rows.length > request.size && last ? [last.userId] : null
      const total = 'page' in request ? (query.countUsers.get({ id })?.total ?? 0) : null
      return { rows: shown, total, next }
    },

    enableModule: (id, { userId, roles }, now, notices) =>
      sqlite.write((): Switched => {
        if (query.isDeleted.get({ userId })) return { outcome: 'user_not_found' }
        const states = statesOf(userId)
        const before = states.find(({ module }) => module.id === id)
        if (!before) return { outcome: 'module_not_found' }
        const { requiredRoles, requires } = before.module
        if (!requiredRoles.every((role) => roles.includes(role))) return { outcome: 'module_not_available' }
        const off = states.filter(({ module, enabledAt }) => enabledAt === null && requires.includes(module.id))
        if (off.length > 0) return { outcome: 'requirement_off', modules: off.map(({ module }) => module.id) }
        return choose(userId, before, before.enabledAt ?? now, notices)
      }),

    disableModule: (id, userId, notices) =>
      sqlite.write((): Switched => {
        if (query.isDeleted.get({ userId })) return { outcome: 'user_not_found' }
        const states = statesOf(userId)
        const before = states.find(({ module }) => module.id === id)
        if (!before) return { outcome: 'module_not_found' }
        const on = states.filter(({ enabledAt }) => enabledAt !== null).map(({ module }) => module)
        const dependents = requiring(id, on)
        if (dependents.length > 0) return { outcome: 'required', modules: dependents }
        return choose(userId, before, null, notices)
      }),

    async removeUser(userId) {
      await sqlite.write(() => {
        query.forgetChoices.run({ userId })
        choicesOf.forget(userId)
        query.markDeleted.run({ userId })
      })
    },

    async probe() {
      await sqlite.write(() => query.probe.run())
      query.probed.get()
    },
    close: () => sqlite.close(),
  }
}

/** @throws Undone when modules stand in the way */
function refuse(outcome: Dependency['outcome'], modules: string[]): void {
  if (modules.length > 0) throw new Undone({ outcome, modules })
}

interface Row {
  module: Module
  choice: typeof schema.choices.$inferSelect | null
}

function stateOf({ module, choice }: Row): UserModule {
  if (choice) return { module, enabledAt: choice.enabledAt, chosen: true }
  return { module, enabledAt: module.defaultEnabled ? module.createdAt : null, chosen: false }
}
