import { EXIT } from '../../../exit.ts'
import { count, write } from '../../../terminal/terminal.ts'
import type { Tool } from '../../../tool/command.ts'
import type { Batch } from './batches.ts'
import type { Refusal } from './errors-file.ts'
import type { UserRecord } from './record/record.ts'
import { STATUSES, type Status } from './response.ts'
import type { Outcome } from './retry.ts'
import { SkippedRoles, type SkippedRolesRead } from './roles/skipped-roles.ts'
import { countSkipped, type SkippedCounts, skippedFieldsOf } from './skipped-fields.ts'

/** Records by outcome, and the fields and roles that were skipped. */
export type Counts = Record<Status, number> & { skippedFields: SkippedCounts; roles: SkippedRoles }

/** The counts as a journal stores them. */
export type StoredCounts = Omit<Counts, 'roles'> & { roles: SkippedRolesRead }

export function noCounts(): Counts {
  return { created: 0, updated: 0, unchanged: 0, skipped: 0, failed: 0, skippedFields: {}, roles: new SkippedRoles() }
}

export function countsFrom(stored: StoredCounts): Counts {
  return { ...stored, roles: new SkippedRoles(stored.roles) }
}

export function totalOf(counts: Counts): number {
  return STATUSES.reduce((sum, status) => sum + counts[status], 0)
}

/** Adds the outcomes of a batch to the counts. */
export function addOutcomes(counts: Counts, { faults, lines }: Batch, outcomes: Outcome[]): void {
  counts.failed += faults.length
  for (const [index, { status }] of outcomes.entries()) {
    counts[status]++
    const record = lines[index]?.record
    // Counted whatever the outcome: the warning is about the file, not about the user.
    counts.roles.add(record?.skippedRoles)
    if (record && (status === 'created' || status === 'updated'))
      countSkipped(counts.skippedFields, skippedFieldsOf(record, status === 'created'))
  }
}

/** Lists the records of a batch that were refused, in the order of the file. */
export function refusalsOf(batch: Batch, outcomes: Outcome[]): Refusal[] {
  const unreadable = batch.faults.map(({ place, fault, user }) => ({
    place,
    code: 'unreadable',
    message: fault,
    ...(user ? { record: user } : {}),
  }))
  const refused = batch.lines.flatMap(({ record }, index) => {
    const { code = 'failed', message = '', status } = outcomes[index] as Outcome
    return status === 'failed'
      ? [{ place: record.place, code, message, record: record.user, ...skippedRolesOf(record) }]
      : []
  })
  return [...unreadable, ...refused].sort((one, other) => one.place - other.place)
}

/** Names the skipped roles, for whoever repairs the record: importing it again does not bring them back. */
export function skippedRolesOf({ skippedRoles }: UserRecord): Pick<Refusal, 'roles_left_out'> {
  return skippedRoles ? { roles_left_out: skippedRoles.map(({ role }) => role) } : {}
}

/** Prints the result of an import and sets the exit status: everything, a part, or nothing was imported. */
export async function printResult(tool: Tool, counts: Counts, duration: number): Promise<void> {
  const { created, failed, skipped, unchanged, updated } = counts
  const total = totalOf(counts)
  const changed = created + updated > 0
  if (tool.out.options.output === 'table')
    await write(`${STATUSES.map((status) => `${count(counts[status])} ${status}`).join(', ')}`)
  else if (tool.out.options.output !== 'ids') {
    const duration_ms = Math.round(duration)
    await tool.out.record({
      created,
      updated,
      unchanged,
      skipped,
      failed,
      total,
      changed,
      duration_ms,
      ...counts.roles.fields,
    })
  }
  process.exitCode = exitFor(failed, total)
}

export function exitFor(failed: number, total: number): number {
  if (failed === 0) return EXIT.done
  return failed === total ? EXIT.failed : EXIT.partly
}
