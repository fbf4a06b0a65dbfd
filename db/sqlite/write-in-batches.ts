import type { Sqlite, Transaction } from './engine.ts'

/** Rows that one batch changes: the event loop waits some milliseconds for it. */
export const BATCH = 1000

/**
 * Changes many rows in several commits, so that the service can answer other requests in between.
 * @param writeBatch changes at most `BATCH` rows and gives their number; fewer than `BATCH` end the loop
 */
export async function writeInBatches(sqlite: Sqlite, writeBatch: (tx: Transaction) => number): Promise<void> {
  while ((await sqlite.write(writeBatch)) >= BATCH);
}
