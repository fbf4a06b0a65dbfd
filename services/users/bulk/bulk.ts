import type { Caller } from '../../kit/caller.ts'
import type { Line } from '../../kit/messages/ndjson.ts'
import { Problem, type ProblemCode } from '../../kit/problem.ts'
import { emailKey } from '../../kit/schema/email.ts'
import type { PageRequest } from '../../kit/schema/page.ts'
import type { ImportedUser } from '../model.ts'
import { userCreatedNotices } from '../notices.ts'
import { auditedNotice, userRead } from '../outbox.ts'
import type { NewUser, Taken, User, UsersStore } from '../store.ts'
import { event, replace, type UsersContext } from '../users.ts'
import { type ChangeOf, changeOf, freshUser, takenProblem } from './records.ts'

/** Users read, and lines written, at once. */
const AT_ONCE = 500
/** Of lines with a plain password fewer: an answer that is silent for longer than the server waits is cut off. */
const PASSWORDS_AT_ONCE = 20
/** Hashes that one import has under way: those who log in meanwhile need their turn too. */
const HASHING = 2

/**
 * Writes down who exports, and then gives every user in the order of creation, a line of JSON each, by pages. A walk:
 * whoever comes and goes meanwhile, each who was there throughout is in it once.
 */
export async function exportUsers(
  context: UsersContext,
  withHashes: boolean,
  caller: Caller,
): Promise<AsyncGenerator<string>> {
  const exported = event(context, 'users.exported', null, caller, { with_hashes: withHashes })
  // On the disk before the first hash is read.
  await context.store.addNotice(auditedNotice(exported))
  context.announcements.send()
  return walk(context.store, withHashes)
}

async function* walk(store: UsersStore, withHashes: boolean): AsyncGenerator<string> {
  const lineOf = (user: User) => ({ ...userRead(user), ...(withHashes ? hashOf(user) : {}) })
  for (let request: PageRequest | null = { size: AT_ONCE, page: 1 }; request; ) {
    const { rows, next } = await store.listUsers({ sort: 'created_at' }, request)
    if (rows.length > 0) yield written(rows.map(lineOf))
    request = next && { size: AT_ONCE, after: next }
  }
}

/** Nothing of a user without a password: an import reads that as it is. */
function hashOf({ passwordHash }: User): { password_hash?: string } {
  return passwordHash === null ? {} : { password_hash: passwordHash }
}

/** What to do with a line whose email, username or id someone has already. */
type OnConflict = 'skip' | 'update' | 'fail'

/** What became of a line. */
interface LineResult {
  line: number
  status: 'created' | 'updated' | 'unchanged' | 'skipped' | 'failed'
  id?: string
  code?: ProblemCode
  /** As in a Problem: nothing that was submitted as a secret. */
  message?: string | string[]
}

/**
 * Makes users of lines, or updates them, in the order of the lines, and gives what became of each, a line of JSON each.
 * What was done is done: a line that fails undoes no other, and when the caller goes away what is left is not begun.
 */
export async function* importUsers(
  context: UsersContext,
  lines: Iterable<Line<ImportedUser>>,
  onConflict: OnConflict,
  caller: Caller,
): AsyncGenerator<string> {
  const counts = { created: 0, updated: 0, unchanged: 0, skipped: 0, failed: 0 }
  try {
    for await (const group of groups(context.store, lines)) {
      const results = await settle(context, group, onConflict, caller)
      for (const { status } of results) counts[status]++
      yield written(results)
    }
  } finally {
    const imported = event(context, 'users.imported', null, caller, { on_conflict: onConflict, ...counts })
    await context.store.addNotice(auditedNotice(imported))
    context.announcements.send()
  }
}

function written(values: object[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join('')
}

/** A line that holds a user, and who stands where it would. */
interface Candidate {
  line: number
  input: ImportedUser
  /** Who has its email. */
  there: User | null
  taken: { what: Taken[]; by: string } | null
}

type Read = Candidate | LineResult

/**
 * Lines that can be written in one go. No two of a group speak of one email, username or id, so that it is as if they
 * were taken one after the other.
 */
async function* groups(store: UsersStore, lines: Iterable<Line<ImportedUser>>): AsyncGenerator<Read[]> {
  const source = lines[Symbol.iterator]()
  for (let left = filled([], source); left.length > 0; ) {
    // Looked up after the group before was written: that may have made or changed whom these speak of.
    const group = apart(await lookUp(store, apart(atOnce(left), namesIn)), namesOf)
    yield group
    left = filled(left.slice(group.length), source)
  }
}

/** Adds to lines that wait, up to as many as are taken at once. */
function filled(waiting: Line<ImportedUser>[], source: Iterator<Line<ImportedUser>>): Line<ImportedUser>[] {
  while (waiting.length < AT_ONCE) {
    const { done, value } = source.next()
    if (done) break
    waiting.push(value)
  }
  return waiting
}

/** From the first, as many as hold no more passwords than are hashed in one go. */
function atOnce(lines: Line<ImportedUser>[]): Line<ImportedUser>[] {
  let passwords = 0
  const end = lines.findIndex(
    (line) => 'value' in line && line.value.password !== undefined && ++passwords > PASSWORDS_AT_ONCE,
  )
  return end < 0 ? lines : lines.slice(0, end)
}

/** From the first, as many as share no name. */
function apart<T>(items: T[], names: (item: T) => string[]): T[] {
  const seen = new Set<string>()
  const end = items.findIndex((item) => {
    const own = names(item)
    if (own.some((name) => seen.has(name))) return true
    for (const name of own) seen.add(name)
    return false
  })
  return end < 0 ? items : items.slice(0, end)
}

async function lookUp(store: UsersStore, lines: Line<ImportedUser>[]): Promise<Read[]> {
  const inputs = lines.flatMap((line) => ('value' in line ? [line.value] : []))
  const known = await store.usersNamed({
    emails: inputs.map(({ email }) => email),
    usernames: inputs.flatMap(({ username }) => username?.toLowerCase() ?? []),
    ids: inputs.flatMap(({ id }) => id?.toLowerCase() ?? []),
  })
  const byName = new Map(
    known.flatMap((user) => [user.email, user.username, user.id].map((name) => [name && emailKey(name), user])),
  )
  const who = (name: string | null | undefined) => (name ? (byName.get(emailKey(name)) ?? null) : null)
  return lines.map((read) => {
    const { line } = read
    if ('problem' in read) return failed(line, read.problem)
    const { email, id, username } = read.value
    const there = who(email)
    const named = who(username)
    const other = there ?? named ?? who(id)
    const what = [there && ('email_taken' as const), named && ('username_taken' as const)].filter((one) => one !== null)
    return { line, input: read.value, there, taken: other && { what, by: other.id } }
  })
}

/** A username is no email and no id: the three can stand in one set. */
function namesIn(line: Line<ImportedUser>): string[] {
  return 'value' in line ? keysOf(line.value.email, line.value.username, line.value.id) : []
}

function namesOf(read: Read): string[] {
  if (!('input' in read)) return []
  const { input, there } = read
  return keysOf(input.email, input.username, input.id, there?.username, there?.id)
}

function keysOf(...names: (string | null | undefined)[]): string[] {
  return names.flatMap((name) => (name ? [emailKey(name)] : []))
}

type Addition = { line: number; fresh: NewUser }
type Update = { line: number; there: User; change: ChangeOf }

async function settle(
  context: UsersContext,
  group: Read[],
  onConflict: OnConflict,
  caller: Caller,
): Promise<LineResult[]> {
  // Lines that fail or are skipped wait for nothing: here others get their turn of the event loop.
  await Bun.sleep(0)
  const ready = await inTurns(group, (read) => ('input' in read ? prepare(context, read, onConflict, caller) : read))
  const fresh = ready.flatMap((one) => ('fresh' in one ? [one.fresh] : []))
  const created = (users: number) => [auditedNotice(event(context, 'users.created', null, caller, { users }))]
  // Whether someone listens is asked here: it may have changed while passwords were hashed.
  const told = fresh.map(({ notices, user }) => ({ user, notices: [...notices, ...userCreatedNotices(context, user)] }))
  const outcomes = fresh.length > 0 ? await context.store.addUsers(told, created) : []
  context.announcements.send()
  const outcomeOf = new Map(fresh.map((one, index) => [one, outcomes[index]]))
  return Promise.all(
    ready.map((one) => {
      if ('there' in one) return update(context, one, caller)
      return 'fresh' in one ? added(one, outcomeOf.get(one.fresh) ?? 'added', onConflict) : one
    }),
  )
}

/** Makes ready what has to be written, hashes and all. */
async function prepare(
  context: UsersContext,
  { input, line, taken, there }: Candidate,
  onConflict: OnConflict,
  caller: Caller,
): Promise<LineResult | Addition | Update> {
  try {
    if (there && onConflict === 'update') return { line, there, change: await changeOf(context, there, input) }
    if (taken && onConflict === 'skip') return { line, status: 'skipped', id: taken.by }
    if (taken) throw takenProblem(taken.what)
    return { line, fresh: await freshUser(context, input, caller) }
  } catch (error) {
    return failed(line, error)
  }
}

async function update(context: UsersContext, { line, there, change }: Update, caller: Caller): Promise<LineResult> {
  try {
    let differs = false
    await replace(context, there, caller, (current) => {
      const made = change(current)
      differs = Object.keys(made.fields).length > 0
      return made
    })
    return { line, status: differs ? 'updated' : 'unchanged', id: there.id }
  } catch (error) {
    return failed(line, error)
  }
}

/** Someone else may have been quicker since the line was looked up; and a deleted user does not come back. */
function added({ line, fresh }: Addition, outcome: 'added' | 'id_taken' | Taken, onConflict: OnConflict): LineResult {
  if (outcome === 'added') return { line, status: 'created', id: fresh.user.id }
  if (onConflict === 'skip' && outcome !== 'id_taken') return { line, status: 'skipped' }
  return failed(line, takenProblem([outcome]))
}

function failed(line: number, error: unknown): LineResult {
  if (!(error instanceof Problem)) throw error
  return { line, status: 'failed', code: error.code, message: error.publicMessage }
}

/** Works on a few at a time; answers in the order of `items`. */
async function inTurns<T, R>(items: readonly T[], work: (item: T) => R | Promise<R>): Promise<R[]> {
  const results: R[] = []
  const left = items.entries()
  const worker = async () => {
    for (const [index, item] of left) results[index] = await work(item)
  }
  await Promise.all(Array.from({ length: HASHING }, worker))
  return results
}
