import type { ModulesStore } from '../../services/modules/store.ts'
import type { Engine } from '../engine.ts'
import { STATEMENTS as statements } from './statements.ts'

/** The feed of the modules. Triggers number the changes (`0002_feed.sql`), so that no change can be left out. */
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
    lastChange: (id) =>
      engine.read(function* (tx) {
        const ofModule = yield* tx.get(statements.lastModuleChange, { id })
        const ofChoices = yield* tx.get(statements.lastChoice, { id })
        return Math.max(ofModule?.seq ?? 0, ofChoices?.seq ?? 0)
      }),
    changesAfter: (id, after, limit) =>
      engine.read(function* (tx) {
        const { begun = 0 } = (yield* tx.get(statements.lastModuleChange, { id })) ?? {}
        const rows = yield* tx.all(statements.choicesAfter, { id, after, limit })
        const choices = rows.map(({ enabled, userId }) => ({ userId, enabled }))
        const module = (yield* tx.get(statements.byId, { id })) ?? null
        return { module, begun, choices, seq: rows.at(-1)?.seq ?? after }
      }),
  } satisfies Partial<ModulesStore>
}
