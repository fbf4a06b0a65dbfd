import type { AuthStore } from '../../services/auth/store/index.ts'
import type { Sqlite, Transaction } from '../sqlite/engine.ts'

export type Facts = ReturnType<typeof factStore>

/** Single values: the issuer, the epoch of the revocation feed, when the service was last alive. */
export function factStore(sqlite: Sqlite) {
  const select = sqlite.raw.query<{ value: string }, { name: string }>('SELECT value FROM facts WHERE name = $name')
  const upsert = sqlite.raw.query<unknown, { name: string; value: string }>(
    'INSERT INTO facts (name, value) VALUES ($name, $value) ON CONFLICT DO UPDATE SET value = excluded.value',
  )
  const writeFact = (tx: Transaction, name: string, value: string): void => {
    tx.run(upsert, { name, value })
  }
  return {
    readFact: (tx: Transaction, name: string) => tx.get(select, { name })?.value ?? null,
    writeFact,
    fact: async (name: string) => select.get({ name })?.value ?? null,
    async setFact(name: string, value: string) {
      await sqlite.write((tx) => writeFact(tx, name, value))
    },
    async probe() {
      await sqlite.write((tx) => writeFact(tx, 'probe', crypto.randomUUID()))
      if (select.get({ name: 'probe' }) === null) throw new Error('The row that was just written is missing')
    },
  } satisfies Partial<AuthStore> & Record<string, unknown>
}
