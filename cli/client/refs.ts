import type { UserRead } from '../../services/kit/schema/user.ts'
import type { Tool } from '../command.ts'
import { EXIT, Failure, usage } from '../exit.ts'
import { flags } from '../terminal/lists.ts'
import { asFailure, failureRead, printFailure, type Row } from '../terminal/output.ts'
import { quoted } from '../terminal/shell.ts'
import { stopBetweenItems } from '../terminal/signals.ts'
import { count, handleBrokenPipe, note, Progress, plain } from '../terminal/terminal.ts'
import { segment } from './api.ts'
import { searchFor } from './search.ts'

/** What names a user, as the help has it; and where `-` may stand for many. */
export const ONE_REF = 'an id, an email or a username'
export const REFS = `${ONE_REF}; - reads them from standard input, one a line`

export const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/**
 * Why the end of an id, which is what a narrow table shows of it, names nothing: it may be that of several.
 * @param list the command that shows ids whole
 * @returns undefined for what is no such end
 */
export function endOfId(ref: string, list: string): Failure | undefined {
  if (!/^(…|\.\.\.)/.test(ref)) return undefined
  return usage(
    `${plain(ref)} is the end of an id, as a narrow table shows it: the whole id is needed`,
    `${list} --wide`,
  )
}

/** The user that an id, an email or a username names. @throws Failure where there is none */
export async function userOf(tool: Tool, typed: string): Promise<UserRead> {
  const ref = typed.trim()
  const end = endOfId(ref, 'ch202 users list')
  if (end) throw end
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
      ...error.said,
      suggestion: `ch202 users list ${flags({ search: searchFor(ref.split('@')[0] ?? '') })
        .map(quoted)
        .join(' ')}`,
    })
  }
}

/**
 * Does something to the one that is named, or, for `-`, to each that standard input names, a line each: what was done is
 * told as it is done, and one that fails does not keep the others from their turn; the exit status tells of it.
 * @throws what `work` throws, for the one that is named
 */
export async function forEachRef(tool: Tool, ref: string, work: (ref: string) => Promise<Row>): Promise<void> {
  if (ref !== '-') return tool.out.record(await work(ref))
  const refs = await refsFromStdin()
  // Who is named gets its turn, though no one reads of it.
  handleBrokenPipe({ goOn: true })
  const progress = new Progress('done', tool.globals.quiet)
  const results: Row[] = []
  const failures: Failure[] = []
  const stop = stopBetweenItems()
  const { output } = tool.globals
  let done = 0
  for (const { ref: one } of refs) {
    if (stop.asked) break
    try {
      const result = await work(one)
      if (output === 'json') results.push(result)
      else await tool.out.rows([result], Object.keys(result))
    } catch (error) {
      const failure = asFailure(error)
      failures.push(failure)
      progress.clear()
      if (output === 'json') results.push({ ref: one, ok: false, error: failureRead(failure) })
      else printFailure(failure, output)
    }
    progress.update(++done, { total: refs.length })
  }
  progress.clear()
  if (output === 'json') await tool.out.list(results, [])
  const next = refs[done]
  if (stop.asked && next !== undefined) tellStopped(done, refs.length, next.line)
  else if (failures.length > 0) {
    tool.out.say(`${failures.length} of ${refs.length} failed`)
    process.exitCode = failures.length < refs.length ? EXIT.partly : (failures[0]?.exit ?? EXIT.failed)
  }
}

/** How to go on, from a line of standard input. */
function tellStopped(done: number, all: number, line: number): void {
  const command = ['ch202', ...process.argv.slice(2)].map(quoted).join(' ')
  note(`Stopped after ${count(done)} of ${count(all)}\n→ … | tail -n +${line} | ${plain(command)}`)
  process.exitCode = EXIT.interrupted
}

/** Each with the number of its line, from 1. */
async function refsFromStdin(): Promise<{ ref: string; line: number }[]> {
  const lines = (await Bun.stdin.text()).split(/\r?\n/).map((line, at) => ({ ref: line.trim(), line: at + 1 }))
  const named = lines.filter(({ ref }) => ref !== '')
  if (named.length === 0) throw usage(`Standard input names no one: ${ONE_REF} a line`)
  return named
}
