import type { AuthStore } from '../../services/auth/store/index.ts'
import type { Sqlite } from '../sqlite/engine.ts'

export type Facts = ReturnType<typeof factStore>

/** Single values: the issuer, the name of this database, when the service was last alive. */
export function factStore(sqlite: Sqlite) {
  const get = sqlite.raw.query<{ value: string }, [string]>('SELECT value FROM facts WHERE name = ?')
  const put = sqlite.raw.query(
    'INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value',
  )
  const read = (name: string) => get.get(name)?.value ?? null
  const write = (name: string, value: string) => {
    put.run(name, value)
  }
  return {
    readFact: read,
    /** To be called within a transaction. */
    writeFact: write,
    fact: async (name: string) => read(name),
    async setFact(name: string, value: string) {
      await sqlite.write(() => write(name, value))
    },
    async probe() {
      const value = crypto.randomUUID()
      await sqlite.write(() => write('probe', value))
      if (read('probe') === null) throw new Error('What was written is not there')
    },
  } satisfies Partial<AuthStore> & Record<string, unknown>
}
