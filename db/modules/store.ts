import { drizzle } from 'drizzle-orm/bun-sqlite'
import type { NewNotice } from '../../services/kit/outbox/outbox.ts'
import {
  decideDisabling,
  decideEnabling,
  misfitOf,
  planChange,
  requiring,
  type SwitchDecision,
  stateOf,
} from '../../services/modules/dependencies.ts'
import type { Dependency, Module, ModulesStore, Switched, UserModule } from '../../services/modules/store.ts'
import { type DatabaseConfig, openStore } from '../open.ts'
import { outboxStore } from '../outbox.ts'
import { pageBounds, sliceOf } from '../page-bounds.ts'
import * as schema from '../schema/modules.ts'
import type { Sqlite, Transaction } from '../sqlite/engine.ts'
import { modulesMigrations } from '../sqlite/migrations/modules.ts'
import { RowCache } from '../sqlite/row-cache.ts'
import { moduleFeedStore } from './feed.ts'
import { prepareStatements } from './statements.ts'

/** Opens the store of the modules service. @throws DatabaseError */
export function openModulesStore(config: DatabaseConfig): Promise<ModulesStore> {
  return openStore(config, { name: 'modules', migrations: modulesMigrations }, modulesStore)
}

/** Thrown within a write: rolls it back, because a check of all users showed that the change is not allowed. */
class RolledBack extends Error {
  constructor(readonly dependency: Dependency) {
    super(dependency.outcome)
  }
}

type Choice = typeof schema.choices.$inferSelect

async function modulesStore(sqlite: Sqlite): Promise<ModulesStore> {
  const statements = prepareStatements(drizzle(sqlite.raw, { schema }), sqlite)
  const outbox = outboxStore(sqlite)
  const library = new RowCache(sqlite, () => statements.all.all())
  const choices = new RowCache(sqlite, (userId) => statements.choicesOf.all({ userId }))
  const libraryChanged = (tx: Transaction) => {
    library.forgetAll(tx)
    choices.forgetAll(tx)
  }

  /** Users who disabled a requirement of the module keep the module disabled, until they choose otherwise. */
  const optOutUsersLackingRequirement = (tx: Transaction, { id, requires }: Module) =>
    tx.run(statements.copyChoices, { id, enabled: 0, enabledAt: null, others: JSON.stringify(requires) })

  /** Users who enabled a module that requires this one keep this one enabled. */
  const optInUsersOfDependents = (tx: Transaction, { id, createdAt }: Module, dependents: string[]) =>
    tx.run(statements.copyChoices, { id, enabled: 1, enabledAt: createdAt, others: JSON.stringify(dependents) })

  /** @throws RolledBack when a user has the module enabled and one of the requirements disabled */
  const checkRequirements = (tx: Transaction, { id, defaultEnabled }: Module, requirements: readonly Module[]) => {
    const missing = requirements.filter((required) =>
      tx.get(statements.lacksRequirement, {
        id,
        isDefault: defaultEnabled,
        required: required.id,
        requiredIsDefault: required.defaultEnabled,
      }),
    )
    const modules = missing.map((required) => required.id)
    if (modules.length > 0) throw new RolledBack({ outcome: 'requirement_off', modules })
  }

  /** Stores the choice of a user, once `decide` allowed it. */
  const choose = (
    tx: Transaction,
    userId: string,
    notices: NewNotice[],
    decide: (states: UserModule[]) => SwitchDecision,
    enabledAtOf: (state: UserModule) => number | null,
  ): Switched => {
    if (tx.get(statements.isDeleted, { userId })) return { outcome: 'user_not_found' }
    const decision = decide(statesOf(tx.all(statements.all), tx.all(statements.choicesOf, { userId })))
    if (decision.outcome !== 'allowed') return decision
    const { chosen, enabledAt: enabledBefore, module } = decision.state
    const enabledAt = enabledAtOf(decision.state)
    const enabled = enabledAt !== null
    if (!chosen || enabledBefore !== enabledAt)
      tx.run(statements.choose, { userId, moduleId: module.id, enabled, enabledAt })
    choices.forget(tx, userId)
    if (enabled !== (enabledBefore !== null)) outbox.addNotices(tx, notices)
    return { outcome: 'switched', state: { module, enabledAt, chosen: true } }
  }

  return {
    ...outbox,
    ...(await moduleFeedStore(sqlite, statements)),

    addModule: (module, notices) =>
      sqlite.write((tx) => {
        if (tx.get(statements.byId, { id: module.id })) return { outcome: 'module_exists' } as const
        const misfit = misfitOf(module, tx.all(statements.all))
        if (misfit) return misfit
        tx.run(statements.insert, { ...module })
        libraryChanged(tx)
        if (module.defaultEnabled) optOutUsersLackingRequirement(tx, module)
        outbox.addNotices(tx, notices)
        return { outcome: 'added' } as const
      }),

    changeModule: (id, changes, notices) =>
      sqlite
        .write((tx) => {
          const modules = tx.all(statements.all)
          const current = modules.find((module) => module.id === id)
          if (!current) return { outcome: 'module_not_found' } as const
          const plan = planChange(current, changes, modules)
          if (plan.outcome !== 'allowed') return plan
          const { module } = plan
          tx.run(statements.update, { ...module })
          libraryChanged(tx)
          if (plan.becomesDefault) optOutUsersLackingRequirement(tx, module)
          if (plan.dependents) optInUsersOfDependents(tx, module, plan.dependents)
          checkRequirements(tx, module, plan.addedRequirements)
          outbox.addNotices(tx, notices)
          return { outcome: 'changed', module } as const
        })
        .catch((error: unknown) => {
          if (error instanceof RolledBack) return error.dependency
          throw error
        }),

    removeModule: (id, notices) =>
      sqlite.write((tx) => {
        if (!tx.get(statements.byId, { id })) return { outcome: 'module_not_found' } as const
        const dependents = requiring(id, tx.all(statements.all))
        if (dependents.length > 0) return { outcome: 'required', modules: dependents } as const
        tx.run(statements.remove, { id })
        libraryChanged(tx)
        outbox.addNotices(tx, notices)
        return { outcome: 'removed' } as const
      }),

    moduleById: async (id) => statements.byId.get({ id }) ?? null,
    listModules: async () => library.get('all') ?? [],

    modulesOf: async (userId) => statesOf(library.get('all') ?? [], choices.get(userId) ?? []),
    async moduleOf(userId, id) {
      const row = statements.oneOfUser.get({ userId, id })
      return row ? stateOf(row.module, row.choice) : null
    },

    async usersOf(id, request) {
      if (!statements.byId.get({ id })) return null
      const after = 'after' in request ? String(request.after[0]) : ''
      const rows = statements.users.all({ id, after, ...pageBounds(request) })
      return sliceOf(
        rows.map(({ userId, enabledAt }) => ({ userId, enabledAt: enabledAt ?? 0 })),
        request,
        () => statements.countUsers.get({ id })?.total ?? 0,
        ({ userId }) => [userId],
      )
    },

    enableModule: (id, { userId, roles }, now, notices) =>
      sqlite.write((tx) =>
        choose(
          tx,
          userId,
          notices,
          (states) => decideEnabling(states, id, roles),
          ({ enabledAt }) => enabledAt ?? now,
        ),
      ),

    disableModule: (id, userId, notices) =>
      sqlite.write((tx) =>
        choose(
          tx,
          userId,
          notices,
          (states) => decideDisabling(states, id),
          () => null,
        ),
      ),

    async removeUser(userId) {
      await sqlite.write((tx) => {
        tx.run(statements.removeChoices, { userId })
        tx.run(statements.addDeletedUser, { userId })
        choices.forget(tx, userId)
      })
    },

    async probe() {
      await sqlite.write((tx) => tx.run(statements.probe))
      statements.probed.get()
    },
    close: async () => sqlite.close(),
  }
}

/** Gives the library as it stands for a user. @param choices what the user chose */
function statesOf(modules: readonly Module[], choices: readonly Choice[]): UserModule[] {
  const byModule = new Map(choices.map((choice) => [choice.moduleId, choice]))
  return modules.map((module) => stateOf(module, byModule.get(module.id) ?? null))
}
