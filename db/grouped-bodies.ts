import type { Body, Engine, Transaction } from './engine.ts'

/**
 * Makes a write that is called often from the body of one call: those of calls that share a transaction run together.
 * @param keysOf calls that share a key run one after another; what others do must not concern a call
 */
export function groupedBodies<Call, Result>(
  engine: Engine,
  body: (tx: Transaction, call: Call) => Body<Result>,
  keysOf: (call: Call) => string | readonly string[],
): (call: Call) => Promise<Result> {
  return engine.grouped<Call, Result>(
    (tx, calls) => tx.together(calls.map((call) => body(tx, call))),
    keysOf,
    'for each',
  )
}
