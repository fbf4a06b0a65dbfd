import type { ModulesStore } from '../../services/modules/store.ts'
import type { Sqlite } from '../sqlite/engine.ts'
import type { prepareStatements } from './statements.ts'

/** The feed of the modules. Triggers number the changes (`0002_feed.sql`), so that no change can be left out. */
export async function moduleFeedStore(sqlite: Sqlite, statements: ReturnType<typeof prepareStatements>) {
  const { epoch, servedBefore } = await sqlite.write((tx) => {
    const stored = tx.get(statements.feed)?.epoch
    if (stored) return { epoch: stored, servedBefore: true }
    const created = crypto.randomUUID()
    tx.run(statements.setEpoch, { epoch: created })
    return { epoch: created, servedBefore: false }
  })

  return {
    epoch,
    servedBefore,
    lastChange: async (id) =>
      sqlite.read(() =>
        Math.max(statements.lastModuleChange.get({ id })?.seq ?? 0, statements.lastChoice.get({ id })?.seq ?? 0),
      ),
    changesAfter: async (id, after, limit) =>
      sqlite.read(() => {
        const { begun = 0 } = statements.lastModuleChange.get({ id }) ?? {}
        const rows = statements.choicesAfter.all({ id, after, limit })
        const choices = rows.map(({ enabled, userId }) => ({ userId, enabled }))
        return { module: statements.byId.get({ id }) ?? null, begun, choices, seq: rows.at(-1)?.seq ?? after }
      }),
  } satisfies Partial<ModulesStore>
}
