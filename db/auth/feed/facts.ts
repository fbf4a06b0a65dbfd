import type { AuthStore } from '../../../services/auth/store/index.ts'
import { type Body, type Engine, type Transaction, text } from '../../engine.ts'

export type Facts = ReturnType<typeof factStore>

const statements = {
  read: text<{ value: string }>('SELECT value FROM facts WHERE name = $name'),
  write: text(`
    INSERT INTO facts (name, value) VALUES ($name, $value)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value`),
}

/** Single values: the issuer, the epoch of the revocation feed, when the service was last alive. */
export function factStore(engine: Engine) {
  function* writeFact(tx: Transaction, name: string, value: string): Body<void> {
    yield* tx.run(statements.write, { name, value })
  }
  const fact = async (name: string) => (await engine.get(statements.read, { name }))?.value ?? null
  return {
    *readFact(tx: Transaction, name: string): Body<string | null> {
      return (yield* tx.get(statements.read, { name }))?.value ?? null
    },
    writeFact,
    fact,
    async setFact(name: string, value: string) {
      await engine.write((tx) => writeFact(tx, name, value))
    },
    async probe() {
      await engine.write((tx) => writeFact(tx, 'probe', crypto.randomUUID()))
      if ((await fact('probe')) === null) throw new Error('The row that was just written is missing')
    },
  } satisfies Partial<AuthStore> & Record<string, unknown>
}
