import type { ModulesStore } from '../../services/modules/store.ts'
import type { Body, Engine, Transaction } from '../engine.ts'
import { checkPoll, subscriberStore } from '../subscribers.ts'
import { STATEMENTS as statements } from './statements.ts'

interface ChoiceKey {
  moduleId: string
  userId: string
}

/**
 * Numbers changes of choices, each with a number of its own: pages of the feed may end between them. Transactions that number
 * changes run one after another, from the update of the counter to their commit: a reader that continues after a number
 * never misses a lower one.
 */
export function* numberChoices(tx: Transaction, changed: readonly ChoiceKey[]): Body<void> {
  if (changed.length === 0) return
  const choices = JSON.stringify(changed.map(({ moduleId, userId }) => [moduleId, userId]))
  const count = changed.length
  yield* tx.together([tx.run(statements.nextChanges, { count }), tx.run(statements.numberChoices, { choices, count })])
}

/** Removes the choices of users who were deleted, and refuses later ones. */
export function* removeUsers(tx: Transaction, userIds: readonly string[]): Body<void> {
  const users = JSON.stringify(userIds)
  const [removed] = yield* tx.together([
    tx.all(statements.removeChoices, { users }),
    tx.runEach(
      statements.addDeletedUser,
      userIds.map((userId) => ({ userId })),
    ),
  ])
  yield* numberChoices(tx, removed)
}

/** @param isNew whether the module was created or removed, so that what is known of its choices is void */
export function* numberModule(tx: Transaction, id: string, { isNew }: { isNew: boolean }): Body<void> {
  yield* tx.together([
    tx.run(statements.nextChanges, { count: 1 }),
    ...(isNew ? [tx.run(statements.removeChoiceNumbers, { id })] : []),
    tx.run(isNew ? statements.numberModuleAnew : statements.numberModule, { id }),
  ])
}

/** The feed of the modules. Each change of a module or a choice has a number, which its statement takes. */
export async function moduleFeedStore(engine: Engine) {
  const { epoch, servedBefore } = await engine.write(function* (tx) {
    const stored = (yield* tx.get(statements.feed))?.epoch
    if (stored) return { epoch: stored, servedBefore: true }
    const created = crypto.randomUUID()
    yield* tx.run(statements.setEpoch, { epoch: created })
    return { epoch: created, servedBefore: false }
  })

  return {
    epoch,
    servedBefore,
    subscribers: subscriberStore(engine, { lastSeq: 'SELECT seq FROM feed' }),
    lastChangeOfAll: async () => (await engine.get(statements.feed))?.seq ?? 0,
    lastChange: async (id) => (await engine.get(statements.lastChange, { id }))?.seq ?? 0,
    changesAfter: (id, after, limit, poll) =>
      engine.read(function* (tx) {
        const [lastChange, rows, module] = yield* tx.together([
          tx.get(statements.lastModuleChange, { id }),
          tx.all(statements.choicesAfter, { id, after, limit }),
          tx.get(statements.byId, { id }),
          checkPoll(tx, poll),
        ])
        const choices = rows.map(({ enabled, userId }) => ({ userId, enabled }))
        return { module: module ?? null, begun: lastChange?.begun ?? 0, choices, seq: rows.at(-1)?.seq ?? after }
      }),
  } satisfies Partial<ModulesStore>
}
