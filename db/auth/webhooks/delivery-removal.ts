import { type Body, type Statement, type Transaction, text } from '../../engine.ts'

const removeEvents = text({
  sqlite: `
    DELETE FROM events WHERE id IN (SELECT value FROM json_each($ids))
      AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_id = events.id)`,
  postgres: `
    DELETE FROM events WHERE id IN (SELECT jsonb_array_elements_text(CAST($ids AS text)::jsonb))
      AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_id = events.id)`,
})

/** Removes those of the events that have no delivery. */
export function* removeUndelivered(tx: Transaction, ids: readonly string[]): Body<void> {
  if (ids.length > 0) yield* tx.run(removeEvents, { ids: JSON.stringify([...new Set(ids)]) })
}

/**
 * Removes deliveries, and the events of which no delivery is left.
 * @param statement deletes deliveries and gives the ids of their events
 * @returns the number of deliveries that were removed
 */
export function* removeDeliveries(
  tx: Transaction,
  statement: Statement<{ eventId: string }>,
  values: Record<string, unknown>,
): Body<number> {
  const rows = yield* tx.all(statement, values)
  yield* removeUndelivered(
    tx,
    rows.map(({ eventId }) => eventId),
  )
  return rows.length
}
