/** Reports to the operator why a database cannot be opened. */
export class DatabaseError extends Error {
  override name = 'DatabaseError'
}

/** The ways out, for operators: there is no migration that goes back. */
export const FROM_NEWER =
  'Use the newer Ch202 again, or restore the backup that was made before the upgrade (docs/upgrade.md)'
