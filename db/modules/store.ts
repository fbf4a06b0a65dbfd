import { type ChangePlan, misfitOf, planChange, requiring, stateOf } from '../../services/modules/dependencies.ts'
import type { Dependency, Module, ModuleChanges, ModulesStore } from '../../services/modules/store.ts'
import type { Body, Engine, Transaction } from '../engine.ts'
import { nodeStore } from '../nodes.ts'
import { type DatabaseConfig, type DatabaseDefinition, openStore } from '../open.ts'
import { outboxStore } from '../outbox.ts'
import { pageBounds, sliceOf } from '../page-bounds.ts'
import { modulesMigrations as postgres } from '../postgres/migrations/modules.ts'
import * as schema from '../schema/modules.ts'
import { modulesMigrations as sqlite } from '../sqlite/migrations/modules.ts'
import { BATCH } from '../write-in-batches.ts'
import { choiceStore, statesOf } from './choices.ts'
import { moduleFeedStore, numberChoices, numberModule } from './feed.ts'
import { STATEMENTS as statements } from './statements.ts'

const DATABASE: DatabaseDefinition = { name: 'modules', schema, sqlite, postgres }

/** Opens the store of the modules service. @throws DatabaseError */
export function openModulesStore(config: DatabaseConfig): Promise<ModulesStore> {
  return openStore(config, DATABASE, modulesStore)
}

/** Thrown within a write: rolls it back, because a check of all users showed that the change is not allowed. */
class RolledBack extends Error {
  constructor(readonly dependency: Dependency) {
    super(dependency.outcome)
  }
}

/** Choices about one of `others` that are copied to the module `id`. */
interface CopiedChoices {
  id: string
  /** When the copies were enabled; null copies what was disabled. */
  enabledAt: number | null
  others: readonly string[]
}

/** The place from which the next transaction copies choices. */
interface Place {
  /** The index of the module whose choices are copied. */
  other: number
  /** The last user. */
  after: string
}

async function modulesStore(engine: Engine): Promise<ModulesStore> {
  const outbox = outboxStore(engine)
  const library = engine.rowCache((tx) => tx.all(statements.all))
  const choices = engine.rowCache((tx, userId) => tx.all(statements.choicesOf, { userId }))
  const libraryChanged = (tx: Transaction) => {
    library.forgetAll(tx)
    choices.forgetAll(tx)
  }

  function* numberCopies(tx: Transaction, id: string, copies: readonly { userId: string }[]): Body<void> {
    yield* numberChoices(
      tx,
      copies.map(({ userId }) => ({ moduleId: id, userId })),
    )
  }

  /** Copies the choice about one of the others to a module, for the users who made none about it. */
  function* copyChoices(tx: Transaction, copied: CopiedChoices): Body<void> {
    const values = { ...valuesOf(copied), others: JSON.stringify(copied.others) }
    yield* numberCopies(tx, copied.id, yield* tx.all(statements.copyChoices, values))
  }

  /**
   * Copies the choices that a change of a module needs before the change, in several transactions: for many users, one would
   * take longer than a request may. Each choice repeats the default that the module has until the change, so that nobody's
   * modules change. The change itself copies what is left.
   */
  async function copyAhead(id: string, changes: ModuleChanges): Promise<void> {
    for (let place: Place | null = { other: 0, after: '' }; place !== null; ) {
      const from: Place = place
      place = await engine.write(function* (tx): Body<Place | null> {
        const modules = yield* tx.all(statements.all)
        const current = modules.find((module) => module.id === id)
        const plan = current && planChange(current, changes, modules)
        const copied = plan?.outcome === 'allowed' ? choicesCopiedBy(plan) : undefined
        return copied ? yield* copyBatch(tx, copied, from) : null
      })
    }
  }

  /** @returns the place of the next batch; null: this was the last */
  function* copyBatch(tx: Transaction, copied: CopiedChoices, { after, other }: Place): Body<Place | null> {
    const [values, source] = [valuesOf(copied), copied.others[other]]
    if (source === undefined) return null
    const users = (yield* tx.all(statements.usersWhoChose, { enabled: values.enabled, other: source, after })).map(
      ({ userId }) => userId,
    )
    choices.forgetAll(tx)
    const copies = yield* tx.all(statements.addChoices, { ...values, users: JSON.stringify(users) })
    yield* numberCopies(tx, copied.id, copies)
    const last = users.at(-1)
    return users.length < BATCH || last === undefined ? { other: other + 1, after: '' } : { other, after: last }
  }

  /** @throws RolledBack when a user has the module enabled and one of the requirements disabled */
  function* checkRequirements(tx: Transaction, { id, defaultEnabled }: Module, requirements: readonly Module[]) {
    const missing: string[] = []
    for (const required of requirements) {
      const values = {
        id,
        isDefault: defaultEnabled,
        required: required.id,
        requiredIsDefault: required.defaultEnabled,
      }
      if (yield* tx.get(statements.lacksRequirement, values)) missing.push(required.id)
    }
    if (missing.length > 0) throw new RolledBack({ outcome: 'requirement_off', modules: missing })
  }

  return {
    ...outbox,
    ...nodeStore(engine),
    ...(await moduleFeedStore(engine)),
    ...choiceStore(engine, { outbox, choices }),

    addModule: (module, notices) =>
      engine.write(function* (tx) {
        if (yield* tx.get(statements.byId, { id: module.id })) return { outcome: 'module_exists' } as const
        const misfit = misfitOf(module, yield* tx.all(statements.all))
        if (misfit) return misfit
        yield* tx.run(statements.insert, { ...module })
        libraryChanged(tx)
        yield* numberModule(tx, module.id, { isNew: true })
        if (module.defaultEnabled) yield* copyChoices(tx, optOuts(module))
        yield* outbox.addNotices(tx, notices)
        return { outcome: 'added' } as const
      }),

    async changeModule(id, changes, notices) {
      if (changes.defaultEnabled !== undefined) await copyAhead(id, changes)
      return await engine
        .write(function* (tx) {
          const modules = yield* tx.all(statements.all)
          const current = modules.find((module) => module.id === id)
          if (!current) return { outcome: 'module_not_found' } as const
          const plan = planChange(current, changes, modules)
          if (plan.outcome !== 'allowed') return plan
          const { module } = plan
          yield* tx.run(statements.update, { ...module })
          libraryChanged(tx)
          if (isGateChanged(current, module)) yield* numberModule(tx, id, { isNew: false })
          const copied = choicesCopiedBy(plan)
          if (copied) yield* copyChoices(tx, copied)
          yield* checkRequirements(tx, module, plan.addedRequirements)
          yield* outbox.addNotices(tx, notices)
          return { outcome: 'changed', module } as const
        })
        .catch((error: unknown) => {
          if (error instanceof RolledBack) return error.dependency
          throw error
        })
    },

    removeModule: (id, notices) =>
      engine.write(function* (tx) {
        if (!(yield* tx.get(statements.byId, { id }))) return { outcome: 'module_not_found' } as const
        const dependents = requiring(id, yield* tx.all(statements.all))
        if (dependents.length > 0) return { outcome: 'required', modules: dependents } as const
        yield* tx.run(statements.remove, { id })
        libraryChanged(tx)
        yield* numberModule(tx, id, { isNew: true })
        yield* outbox.addNotices(tx, notices)
        return { outcome: 'removed' } as const
      }),

    moduleById: async (id) => (await engine.get(statements.byId, { id })) ?? null,
    listModules: async () => (await library.get('all')) ?? [],

    modulesOf: async (userId) => statesOf((await library.get('all')) ?? [], (await choices.get(userId)) ?? []),
    async moduleOf(userId, id) {
      const row = await engine.get(statements.oneOfUser, { userId, id })
      return row ? stateOf(row.module, row.choice) : null
    },

    async usersOf(id, request) {
      if (!(await engine.get(statements.byId, { id }))) return null
      const after = 'after' in request ? String(request.after[0]) : ''
      const rows = await engine.all(statements.users, { id, after, ...pageBounds(request) })
      return sliceOf(
        rows.map(({ userId, enabledAt }) => ({ userId, enabledAt: enabledAt ?? 0 })),
        request,
        async () => (await engine.get(statements.countUsers, { id }))?.total ?? 0,
        ({ userId }) => [userId],
      )
    },

    async probe() {
      await engine.write((tx) => tx.run(statements.probe))
      await engine.get(statements.probed)
    },
    close: () => engine.close(),
  }
}

/** The parameters that the statements which copy choices share. */
function valuesOf({ enabledAt, id }: CopiedChoices) {
  return { id, enabled: enabledAt === null ? 0 : 1, enabledAt }
}

/** Users who disabled a requirement of a module keep the module disabled, until they choose otherwise. */
function optOuts({ id, requires }: Module): CopiedChoices {
  return { id, enabledAt: null, others: requires }
}

/** Gives the choices that a change needs, so that it contradicts no user's choice. */
function choicesCopiedBy({ becomesDefault, dependents, module }: ChangePlan): CopiedChoices | undefined {
  if (becomesDefault) return optOuts(module)
  // Users who enabled a module that requires this one keep this one enabled.
  return dependents ? { id: module.id, enabledAt: module.createdAt, others: dependents } : undefined
}

/** Whether a change of a module concerns those who decide by it. */
function isGateChanged(before: Module, after: Module): boolean {
  return (
    before.defaultEnabled !== after.defaultEnabled ||
    JSON.stringify(before.requiredRoles) !== JSON.stringify(after.requiredRoles)
  )
}
