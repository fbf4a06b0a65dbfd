import { EXIT } from '../../../exit.ts'
import { count, write } from '../../../terminal/terminal.ts'
import type { Tool } from '../../../tool/command.ts'
import type { Batch } from './batches.ts'
import { type Refusal, refusalOf, unreadableRefusal } from './refusal.ts'
import { STATUSES, type Status } from './response.ts'
import type { Outcome } from './retry.ts'
import { SkippedRoles, type StoredSkippedRoles } from './roles/skipped-roles.ts'
import { countSkipped, type SkippedCounts, skippedFieldsOf } from './skipped-fields.ts'

/** Records by outcome, and the fields and roles that were skipped. */
export type Counts = Record<Status, number> & {
  skippedFields: SkippedCounts
  roles: SkippedRoles
  /** Second factors that were added; undefined: none. */
  factors?: number
}

/** The counts as a journal stores them. */
export type StoredCounts = Omit<Counts, 'roles'> & { roles: StoredSkippedRoles }

export function noCounts(): Counts {
  return { created: 0, updated: 0, unchanged: 0, skipped: 0, failed: 0, skippedFields: {}, roles: new SkippedRoles() }
}

/** Restores the counts from a journal. */
export function countsFrom(stored: StoredCounts): Counts {
  return { ...stored, roles: new SkippedRoles(stored.roles) }
}

/** The number of records with an outcome. */
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
      countSkipped(counts.skippedFields, skippedFieldsOf(record, status))
  }
}

/** Lists the records of a batch that were refused, in the order of the file. */
export function refusalsOf(batch: Batch, outcomes: Outcome[]): Refusal[] {
  const refused = batch.lines.flatMap(({ record }, index) => {
    const { code = 'failed', message = '', status } = outcomes[index] as Outcome
    return status === 'failed' ? [refusalOf(record, code, message)] : []
  })
  return [...batch.faults.map(unreadableRefusal), ...refused].sort((one, other) => one.place - other.place)
}

/** Prints the result of an import and sets the exit status. @param durationMs how long the import took */
export async function printResult(tool: Tool, counts: Counts, durationMs: number): Promise<void> {
  const { created, factors = 0, failed, skipped, unchanged, updated } = counts
  const total = totalOf(counts)
  const changed = created + updated + factors > 0
  if (tool.out.options.output === 'table') {
    if (!tool.out.silent) await write(STATUSES.map((status) => `${count(counts[status])} ${status}`).join(', '))
  } else if (tool.out.options.output !== 'ids') {
    await tool.out.record({
      created,
      updated,
      unchanged,
      skipped,
      failed,
      total,
      changed,
      duration_ms: Math.round(durationMs),
      ...(factors > 0 && { factors_added: factors }),
      ...counts.roles.fields,
    })
  }
  if (factors > 0) tool.out.say(`Second factors added: ${count(factors)}`)
  process.exitCode = exitFor(failed, total)
}

/** The exit status of an import: all records were imported, some, or none. */
export function exitFor(failed: number, total: number): number {
  if (failed === 0) return EXIT.done
  return failed === total ? EXIT.failed : EXIT.partly
}
