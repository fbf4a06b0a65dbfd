import { sql } from 'drizzle-orm'

/** The column of a query that counts rows. */
export const COUNT = { count: sql<number>`count(*)` }

/** Gives the result of a query that selects `COUNT`. */
export function countOf(row: { count: number } | undefined): number {
  return row?.count ?? 0
}
