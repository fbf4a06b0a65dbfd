import type { ModulesStore } from '../../services/modules/store.ts'
import type { Body, Engine, Transaction } from '../engine.ts'
import { checkPoll, subscriberStore } from '../subscribers.ts'
import { STATEMENTS as statements } from './statements.ts'

interface ChoiceKey {
  moduleId: string
  userId: string
}

/** Numbers changes of choices, each with a number of its own: pages of the feed may end between them. */
export function* numberChoices(tx: Transaction, changed: readonly ChoiceKey[]): Body<void> {
  if (changed.length === 0) return
  const last = (yield* tx.get(statements.nextChanges, { count: changed.length }))?.seq ?? 0
  const choices = JSON.stringify(changed.map(({ moduleId, userId }) => [moduleId, userId]))
  yield* tx.run(statements.numberChoices, { choices, before: last - changed.length })
}

/** Removes the choices of a user who was deleted. */
export function* removeChoices(tx: Transaction, userId: string): Body<void> {
  const removed = yield* tx.all(statements.removeChoices, { userId })
  yield* numberChoices(
    tx,
    removed.map(({ moduleId }) => ({ moduleId, userId })),
  )
}

/** @param isNew whether the module was created or removed, so that what is known of its choices is void */
export function* numberModule(tx: Transaction, id: string, { isNew }: { isNew: boolean }): Body<void> {
  const { seq } = (yield* tx.get(statements.nextChanges, { count: 1 })) ?? { seq: 0 }
  if (isNew) yield* tx.run(statements.removeChoiceNumbers, { id })
  yield* tx.run(isNew ? statements.numberModuleAnew : statements.numberModule, { id, seq })
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
    lastChange: (id) =>
      engine.read(function* (tx) {
        const ofModule = yield* tx.get(statements.lastModuleChange, { id })
        const ofChoices = yield* tx.get(statements.lastChoice, { id })
        return Math.max(ofModule?.seq ?? 0, ofChoices?.seq ?? 0)
      }),
    changesAfter: (id, after, limit, poll) =>
      engine.read(function* (tx) {
        yield* checkPoll(tx, poll)
        const { begun = 0 } = (yield* tx.get(statements.lastModuleChange, { id })) ?? {}
        const rows = yield* tx.all(statements.choicesAfter, { id, after, limit })
        const choices = rows.map(({ enabled, userId }) => ({ userId, enabled }))
        const module = (yield* tx.get(statements.byId, { id })) ?? null
        return { module, begun, choices, seq: rows.at(-1)?.seq ?? after }
      }),
  } satisfies Partial<ModulesStore>
}
