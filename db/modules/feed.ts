import type { ModulesStore } from '../../services/modules/store.ts'
import type { Sqlite } from '../sqlite/engine.ts'
import type { prepareStatements } from './statements.ts'

/** What the feed of a module tells. The changes are numbered by triggers (`0002_feed.sql`): none can be forgotten. */
export function moduleFeedStore(sqlite: Sqlite, query: ReturnType<typeof prepareStatements>) {
  const kept = query.feed.get()?.epoch ?? ''
  const epoch = kept || crypto.randomUUID()
  if (!kept) query.beginFeed.run({ epoch })

  return {
    epoch,
    servedBefore: kept !== '',
    lastChange: async (id) =>
      sqlite.read(() => Math.max(query.changeOf.get({ id })?.seq ?? 0, query.lastChoice.get({ id })?.seq ?? 0)),
    changesAfter: async (id, after, limit) =>
      sqlite.read(() => {
        const { begun = 0 } = query.changeOf.get({ id }) ?? {}
        const rows = query.choicesAfter.all({ id, after, limit })
        const choices = rows.map(({ enabled, userId }) => ({ userId, enabled }))
        return { module: query.byId.get({ id }) ?? null, begun, choices, seq: rows.at(-1)?.seq ?? after }
      }),
  } satisfies Partial<ModulesStore>
}
