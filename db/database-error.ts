/** Reports to the operator why a database cannot be opened. */
export class DatabaseError extends Error {
  override name = 'DatabaseError'
}
