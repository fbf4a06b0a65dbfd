import type { UserRead } from '../../services/kit/schema/user.ts'
import { segment } from '../client/api.ts'
import { searchFor } from '../client/search.ts'
import { EXIT, Failure, usage } from '../exit.ts'
import { asFailure, failureFields, printFailure } from '../terminal/failures.ts'
import { Progress } from '../terminal/progress.ts'
import { quoted } from '../terminal/shell.ts'
import { stopBetweenItems } from '../terminal/signals.ts'
import type { Row } from '../terminal/table.ts'
import { count, handleBrokenPipe, note, plain } from '../terminal/terminal.ts'
import type { Tool } from './command.ts'
import { flags } from './lists.ts'

/** Help text for an argument that names a user. */
export const ONE_REF = 'an id, an email or a username'
/** Help text for an argument that names a user, or several with `-`. */
export const REFS = `${ONE_REF}; - reads one per line from standard input`

/** The form of an id of users, sessions and webhooks. */
export const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/**
 * Explains why a shortened id from a narrow table cannot be used: several ids may end alike.
 * @param list the command that shows full ids
 * @returns undefined if the ref is not a shortened id
 */
export function shortenedIdFailure(ref: string, list: string): Failure | undefined {
  if (!/^(…|\.\.\.)/.test(ref)) return undefined
  return usage(`${plain(ref)} is a shortened id from a narrow table: the full id is needed`, `${list} --wide`)
}

/** Finds the user with an id, an email or a username. @throws Failure if there is no such user */
export async function userOf(tool: Tool, text: string): Promise<UserRead> {
  const ref = text.trim()
  const shortened = shortenedIdFailure(ref, 'ch202 users list')
  if (shortened) throw shortened
  const api = await tool.api()
  try {
    return await api.users((users) => {
      if (UUID.test(ref)) return users.users({ user_id: ref }).get()
      const name = segment(ref)
      return ref.includes('@')
        ? users.users['by-email']({ email: name }).get()
        : users.users['by-username']({ username: name }).get()
    })
  } catch (error) {
    if (!(error instanceof Failure) || error.exit !== EXIT.notFound) throw error
    throw new Failure(EXIT.notFound, `There is no user ${ref}`, {
      ...error.details,
      suggestion: `ch202 users list ${flags({ search: searchFor(ref.split('@')[0] ?? '') })
        .map(quoted)
        .join(' ')}`,
    })
  }
}

/**
 * Runs an action for one ref, or for `-` for each line of standard input. Results are printed as they come; a failure
 * does not stop the other refs, and sets the exit status.
 * @throws the action's error, if it was called for a single ref
 */
export async function forEachRef(tool: Tool, ref: string, action: (ref: string) => Promise<Row>): Promise<void> {
  if (ref !== '-') return tool.out.record(await action(ref))
  const refs = await refsFromStdin()
  // Process every ref even if nobody reads the output.
  handleBrokenPipe({ goOn: true })
  const progress = new Progress('done', tool.globals.quiet)
  const results: Row[] = []
  const failures: Failure[] = []
  const stop = stopBetweenItems()
  const { output } = tool.globals
  let completed = 0
  for (const { ref: one } of refs) {
    if (stop.requested) break
    try {
      const result = await action(one)
      if (output === 'json') results.push(result)
      else await tool.out.rows([result], Object.keys(result))
    } catch (error) {
      const failure = asFailure(error)
      failures.push(failure)
      progress.clear()
      if (output === 'json') results.push({ ref: one, ok: false, error: failureFields(failure) })
      else printFailure(failure, output)
    }
    progress.update(++completed, { total: refs.length })
  }
  progress.clear()
  if (output === 'json') await tool.out.list(results, [])
  const next = refs[completed]
  if (stop.requested && next !== undefined) reportStopped(completed, refs.length, next.line)
  else if (failures.length > 0) {
    tool.out.say(`${failures.length} of ${refs.length} failed`)
    process.exitCode = failures.length < refs.length ? EXIT.partly : (failures[0]?.exit ?? EXIT.failed)
  }
}

/** Suggests how to continue at a line of standard input. */
function reportStopped(completed: number, total: number, line: number): void {
  const command = ['ch202', ...process.argv.slice(2)].map(quoted).join(' ')
  note(`Stopped after ${count(completed)} of ${count(total)}\n→ … | tail -n +${line} | ${plain(command)}`)
  process.exitCode = EXIT.interrupted
}

/** The refs on standard input, each with its line number from 1. */
async function refsFromStdin(): Promise<{ ref: string; line: number }[]> {
  const lines = (await Bun.stdin.text()).split(/\r?\n/).map((line, at) => ({ ref: line.trim(), line: at + 1 }))
  const refs = lines.filter(({ ref }) => ref !== '')
  if (refs.length === 0) throw usage(`Standard input is empty: give ${ONE_REF} per line`)
  return refs
}
