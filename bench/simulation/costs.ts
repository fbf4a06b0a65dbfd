import type { Costs } from './model.ts'

/** Microseconds of CPU of a node and of the server. */
const cost = (node: number, server: number) => ({ node: node / 1000, server: server / 1000 })

/**
 * CPU times as `bun bench/simulation/measure.ts` measured them on an AMD EPYC with PostgreSQL 15: a statement's alone, and
 * for groups what a call adds to its transaction. A refresh includes its request over HTTP.
 */
export const COSTS: Costs = {
  read: cost(37, 14),
  acknowledge: cost(183, 208),
  furtherAcknowledgement: cost(5, 8),
  readSubscribers: cost(45, 29),
  eachSubscriber: cost(0.5, 0.15),
  end: cost(500, 450),
  eachEnd: cost(20, 55),
  rotate: cost(300, 300),
  eachRefresh: cost(95, 17),
  poll: 0.1,
  flush: 0.5,
  roundTrip: 0.2,
}
