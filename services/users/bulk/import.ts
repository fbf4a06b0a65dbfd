import type { Caller } from '../../kit/caller.ts'
import { applyChange } from '../changes.ts'
import type { PasswordContext } from '../context.ts'
import { isActiveAdmin } from '../last-admin.ts'
import { auditRowNotice, createdEvent } from '../notices.ts'
import type { ImportedLine } from '../schemas/bulk.ts'
import type { NewUser, Taken, User } from '../store.ts'
import { jsonLines } from './export.ts'
import { type Candidate, failedLine, groupsOf, type Line } from './groups.ts'
import { type ChangeOf, changeFrom, takenProblem, userFrom } from './records.ts'

/** Hashes of one import that are computed at once: people who log in meanwhile need the other cores. */
const PARALLEL_HASHES = 2

/** The handling of a line whose email, username or id an existing user has. */
type OnConflict = 'skip' | 'update' | 'fail'

/** An import: the same from its first line to its last. */
interface Import {
  context: PasswordContext
  onConflict: OnConflict
  caller: Caller
}

/**
 * Creates or updates a user for each line, in the order of the lines, and gives the results as lines of JSON. A line
 * that fails undoes no other. If the caller goes away, the remaining lines are not begun.
 */
export async function* importUsers(
  context: PasswordContext,
  lines: Iterable<Line>,
  onConflict: OnConflict,
  caller: Caller,
): AsyncGenerator<string> {
  const counts = { created: 0, updated: 0, unchanged: 0, skipped: 0, failed: 0 }
  let isRecorded = true
  try {
    for await (const group of groupsOf(context.store, lines)) {
      const results = await writeGroup({ context, onConflict, caller }, group)
      for (const { status } of results) counts[status]++
      yield jsonLines(results)
    }
  } catch (error) {
    // Nothing was acknowledged, and a database that is away would make the caller wait once more.
    isRecorded = counts.created + counts.updated > 0
    throw error
  } finally {
    const row = auditRowNotice(context, caller, null, ['users.imported', { on_conflict: onConflict, ...counts }])
    if (isRecorded) await context.store.addNotice(row)
    context.outboxes.wake()
  }
}

/** A line that creates a user. */
interface Addition {
  line: number
  newcomer: NewUser
}

/** A line that changes a user. */
interface Update {
  line: number
  user: User
  changeOf: ChangeOf
}

async function writeGroup(job: Import, group: readonly (Candidate | ImportedLine)[]): Promise<ImportedLine[]> {
  // Lines that fail or are skipped never wait: without this pause they would block the event loop.
  await Bun.sleep(0)
  const prepared = await inParallel(group, PARALLEL_HASHES, (entry) => ('input' in entry ? prepare(job, entry) : entry))
  const newcomers = prepared.flatMap((entry) => ('newcomer' in entry ? [entry.newcomer] : []))
  const outcomes = await addAll(job, newcomers)
  let earlier: Promise<unknown> = Promise.resolve()
  // The last administrator stays one. Which one that is depends on the order of the lines.
  const inOrder = (entry: Update): Promise<ImportedLine> => {
    const result = earlier.then(() => update(job, entry))
    earlier = result
    return result
  }
  return Promise.all(
    prepared.map((entry) => {
      if ('user' in entry) return isActiveAdmin(entry.user) ? inOrder(entry) : update(job, entry)
      return 'newcomer' in entry
        ? resultOfAddition(entry, outcomes.get(entry.newcomer) ?? 'added', job.onConflict)
        : entry
    }),
  )
}

type Outcome = 'added' | 'id_taken' | Taken

/** Adds users in one transaction, with one row in the audit. */
async function addAll({ caller, context }: Import, newcomers: NewUser[]): Promise<Map<NewUser, Outcome>> {
  if (newcomers.length === 0) return new Map()
  // The subscriptions are looked up here: they may have changed while passwords were hashed.
  const withEvents = newcomers.map(({ notices, user }) => ({
    user,
    notices: [...notices, ...createdEvent(context, user)],
  }))
  const outcomes = await context.store.addUsers(withEvents, context.clock.now(), (users) => [
    auditRowNotice(context, caller, null, ['users.created', { users }]),
  ])
  context.outboxes.wake()
  return new Map(newcomers.map((newcomer, index) => [newcomer, outcomes[index] ?? 'added']))
}

/** Computes what a line writes, its password hash included. */
async function prepare(
  { caller, context, onConflict }: Import,
  { conflict, input, line, owner }: Candidate,
): Promise<ImportedLine | Addition | Update> {
  try {
    if (owner && onConflict === 'update')
      return { line, user: owner, changeOf: await changeFrom(context, owner, input) }
    if (conflict && onConflict === 'skip') return { line, status: 'skipped', id: conflict.userId }
    if (conflict) throw takenProblem(conflict.names)
    return { line, newcomer: await userFrom(context, input, caller) }
  } catch (error) {
    return failedLine(line, error)
  }
}

async function update({ caller, context }: Import, { changeOf, line, user }: Update): Promise<ImportedLine> {
  try {
    let isChanged = false
    await applyChange(context, user, caller, (current) => {
      const change = changeOf(current)
      isChanged = Object.keys(change.fields).length > 0
      return change
    })
    return { line, status: isChanged ? 'updated' : 'unchanged', id: user.id }
  } catch (error) {
    return failedLine(line, error)
  }
}

/** The result of a new user. Someone may have taken a name after the line was looked up, and deleted ids stay taken. */
function resultOfAddition({ line, newcomer }: Addition, outcome: Outcome, onConflict: OnConflict): ImportedLine {
  if (outcome === 'added') return { line, status: 'created', id: newcomer.user.id }
  if (onConflict === 'skip' && outcome !== 'id_taken') return { line, status: 'skipped' }
  return failedLine(line, takenProblem([outcome]))
}

/** Works on `limit` items at once, and gives the results in the order of the items. */
async function inParallel<T, R>(items: readonly T[], limit: number, work: (item: T) => R | Promise<R>): Promise<R[]> {
  const results: R[] = []
  const remaining = items.entries()
  const worker = async () => {
    for (const [index, item] of remaining) results[index] = await work(item)
  }
  await Promise.all(Array.from({ length: limit }, worker))
  return results
}
