import { Problem } from '../../kit/problem.ts'
import { emailKey } from '../../kit/schema/email.ts'
import type { ImportedLine, ImportedUser } from '../schemas/bulk.ts'
import type { Taken, User, UsersStore } from '../store.ts'

// Divides the lines of an import into groups that can be written in one transaction.

/** Lines written at once. */
const GROUP_SIZE = 500
/** Lines with a plain password in a group: hashing more would keep the answer silent for longer than the server waits. */
const PASSWORDS_PER_GROUP = 20

/** A line of the body as it was read, or what is wrong with it. */
export type Line = { line: number } & ({ value: ImportedUser } | { problem: Problem })

/** A line that holds a user, and the existing users who have its email, username or id. */
export interface Candidate {
  line: number
  input: ImportedUser
  /** The user who has its email. */
  owner: User | null
  conflict: { names: Taken[]; userId: string } | null
}

type Entry = Candidate | ImportedLine

/**
 * Groups of lines, in their order. No two lines of a group have the same email, username or id, so that a group has the
 * same effect as its lines one after the other.
 */
export async function* groupsOf(store: UsersStore, lines: Iterable<Line>): AsyncGenerator<Entry[]> {
  const source = lines[Symbol.iterator]()
  for (let waiting = fillUp([], source); waiting.length > 0; ) {
    // Looked up after the previous group was written: it may have created or changed the users that these lines name.
    const candidates = await lookUp(store, untilRepeated(untilFull(waiting), namesOfLine))
    const group = untilRepeated(candidates, namesOfEntry)
    yield group
    waiting = fillUp(waiting.slice(group.length), source)
  }
}

function fillUp(waiting: Line[], source: Iterator<Line>): Line[] {
  while (waiting.length < GROUP_SIZE) {
    const { done, value } = source.next()
    if (done) break
    waiting.push(value)
  }
  return waiting
}

/** The first lines, up to the password that is one too many. */
function untilFull(lines: Line[]): Line[] {
  let passwords = 0
  const end = lines.findIndex(
    (line) => 'value' in line && line.value.password !== undefined && ++passwords > PASSWORDS_PER_GROUP,
  )
  return end < 0 ? lines : lines.slice(0, end)
}

/** The first items, up to one that has a name of an earlier one. */
function untilRepeated<T>(items: T[], namesOf: (item: T) => string[]): T[] {
  const earlier = new Set<string>()
  const end = items.findIndex((item) => {
    const names = namesOf(item)
    if (names.some((name) => earlier.has(name))) return true
    for (const name of names) earlier.add(name)
    return false
  })
  return end < 0 ? items : items.slice(0, end)
}

async function lookUp(store: UsersStore, lines: Line[]): Promise<Entry[]> {
  const inputs = lines.flatMap((line) => ('value' in line ? [line.value] : []))
  const users = await store.usersNamed({
    emails: inputs.map(({ email }) => email),
    usernames: inputs.flatMap(({ username }) => username?.toLowerCase() ?? []),
    ids: inputs.flatMap(({ id }) => id?.toLowerCase() ?? []),
  })
  // A username has the form of neither an email nor an id, so all three fit into one map.
  const byName = new Map(users.flatMap((user) => keysOf(user.email, user.username, user.id).map((key) => [key, user])))
  const userNamed = (name: string | null | undefined) => (name ? (byName.get(emailKey(name)) ?? null) : null)
  return lines.map((line) =>
    'problem' in line ? failedLine(line.line, line.problem) : candidateOf(line.line, line.value, userNamed),
  )
}

function candidateOf(
  line: number,
  input: ImportedUser,
  userNamed: (name: string | null | undefined) => User | null,
): Candidate {
  const owner = userNamed(input.email)
  const usernameOwner = userNamed(input.username)
  const other = owner ?? usernameOwner ?? userNamed(input.id)
  const names: Taken[] = []
  if (owner) names.push('email_taken')
  if (usernameOwner) names.push('username_taken')
  return { line, input, owner, conflict: other && { names, userId: other.id } }
}

function namesOfLine(line: Line): string[] {
  return 'value' in line ? keysOf(line.value.email, line.value.username, line.value.id) : []
}

/** The names of the line and of the user whom it would change. */
function namesOfEntry(entry: Entry): string[] {
  if (!('input' in entry)) return []
  const { input, owner } = entry
  return keysOf(input.email, input.username, input.id, owner?.username, owner?.id)
}

function keysOf(...names: (string | null | undefined)[]): string[] {
  return names.flatMap((name) => (name ? [emailKey(name)] : []))
}

/** The result of a line that a problem stopped. @throws `error` itself if it is no problem of the line */
export function failedLine(line: number, error: unknown): ImportedLine {
  if (!(error instanceof Problem)) throw error
  return { line, status: 'failed', code: error.code, message: error.publicMessage }
}
