import type { Sqlite } from './engine.ts'

/** How many rows are changed in one go: some milliseconds, for which the event loop waits. */
export const PIECE = 1000

/**
 * Changes many rows in commits of their own, between which the service answers others.
 * @param piece changes at most `PIECE` of them, and gives how many there were: fewer than that are the last
 */
export async function writeInBatches(sqlite: Sqlite, piece: () => number): Promise<void> {
  while ((await sqlite.write(piece)) >= PIECE);
}
