import type { Body, Engine, Transaction } from './engine.ts'

/** Rows that one batch changes: other transactions wait some milliseconds for it. */
export const BATCH = 1000

/**
 * Changes many rows in several commits, so that the service can answer other requests in between.
 * @param writeBatch changes at most `BATCH` rows and gives their number; fewer than `BATCH` end the loop
 */
export async function writeInBatches(engine: Engine, writeBatch: (tx: Transaction) => Body<number>): Promise<void> {
  while ((await engine.write(writeBatch)) >= BATCH);
}
