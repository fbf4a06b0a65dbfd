import type { SQL } from 'bun'

/** Lifts the time limits of a transaction: those of a connection or an account are for requests. */
export async function withoutTimeouts(tx: Pick<SQL, 'unsafe'>): Promise<void> {
  await tx.unsafe('SET LOCAL statement_timeout = 0')
  await tx.unsafe('SET LOCAL lock_timeout = 0')
  await tx.unsafe('SET LOCAL idle_in_transaction_session_timeout = 0')
}
