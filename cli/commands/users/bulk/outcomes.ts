import type { Batch } from './batches.ts'
import { type Counts, countLeft, leftOf } from './counts.ts'
import type { Refusal } from './errors-file.ts'
import type { UserRecord } from './record.ts'
import type { Outcome } from './sender.ts'

/** Why records of a batch were not taken, in the order of the file. */
export function refusalsOf(batch: Batch, outcomes: Outcome[]): Refusal[] {
  const faults = batch.faults.map(({ place, fault, user }) => ({
    place,
    code: 'unreadable',
    message: fault,
    ...(user ? { record: user } : {}),
  }))
  const refused = batch.lines.flatMap(({ record }, n) => {
    const { code = 'failed', message = '', status } = outcomes[n] as Outcome
    return status === 'failed'
      ? [{ place: record.place, code, message, record: record.user, ...rolesLeftOf(record) }]
      : []
  })
  return [...faults, ...refused].sort((one, other) => one.place - other.place)
}

/** For whoever repairs the record: importing it again does not bring these back. */
export function rolesLeftOf({ leftRoles }: UserRecord): Pick<Refusal, 'roles_left_out'> {
  return leftRoles ? { roles_left_out: leftRoles.map(({ role }) => role) } : {}
}

/** Counts what became of a batch. */
export function add(counts: Counts, { faults, lines }: Batch, outcomes: Outcome[]): void {
  counts.failed += faults.length
  for (const [n, { status }] of outcomes.entries()) {
    counts[status]++
    // Whatever became of the user: what the file says does not fit.
    counts.roles.add(lines[n]?.record.leftRoles)
    const record = lines[n]?.record
    if (record && (status === 'created' || status === 'updated'))
      countLeft(counts, leftOf(record, status === 'created'))
  }
}
