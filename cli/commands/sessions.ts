import type { Command } from 'commander'
import { endOfId, ONE_REF, UUID, userOf } from '../client/refs.ts'
import { addCommand, group, type Tool, withTool } from '../command.ts'
import { EXIT, type Failure, usage } from '../exit.ts'
import { type Extent, flags, list, listCommand, pages, type Query } from '../terminal/lists.ts'
import { asFailure, failureRead, type ListPage, printFailure, type Row } from '../terminal/output.ts'
import { stopBetweenItems } from '../terminal/signals.ts'
import { confirm, count, Progress, plain } from '../terminal/terminal.ts'

const COLUMNS = ['id', 'user_id', 'created_at', 'last_used_at', 'expires_at', 'ip', 'user_agent']

export function sessionsCommand(): Command {
  const sessions = group('sessions', 'See who is logged in, and end sessions')

  listCommand(
    addCommand(sessions, 'list', 'List live sessions, newest first', [
      'ch202 sessions list --user ana@example.org',
      'ch202 sessions list --all --fields user_id,ip,last_used_at -o csv',
    ]).option('--user <ref>', `only those of this user: ${ONE_REF}`),
  ).action(withTool(listSessions))

  addCommand(sessions, 'revoke', 'End sessions: their tokens are refused everywhere at once', [
    'ch202 sessions revoke --user ana@example.org',
    'ch202 sessions revoke --all --dry-run',
    'ch202 sessions list --user ana -o ids | ch202 sessions revoke -',
  ])
    .argument('[id...]', 'ids of sessions; - reads them from standard input, one a line')
    .option('--user <ref>', `every session of this user: ${ONE_REF}`)
    .option('--all', 'every session of everyone')
    .option('--dry-run', 'say which would end, and end none')
    .action(withTool(revoke))

  return sessions
}

async function listSessions(tool: Tool, { user, ...extent }: Extent & { user?: string }): Promise<void> {
  const whose = user === undefined ? EVERYONE : { user_id: (await userOf(tool, user)).id }
  await list(tool, extent, ['sessions', 'list', ...flags({ user })], COLUMNS, (part) =>
    page(tool, { ...whose, ...part }),
  )
}

const EVERYONE = { all: 'true' } as const
type Whose = { user_id: string } | typeof EVERYONE

async function page(tool: Tool, query: Whose & Query): Promise<ListPage> {
  const api = await tool.api()
  return api.auth((auth) => auth.auth.sessions.get({ query }))
}

interface Which {
  user?: string
  all?: boolean
  dryRun?: boolean
}

async function revoke(tool: Tool, { all, dryRun, user }: Which, ids: string[]): Promise<void> {
  const given = [ids.length > 0, user !== undefined, all === true].filter(Boolean)
  if (given.length !== 1) throw usage('Say which sessions: their ids, --user <ref>, or --all')
  if (all) return revokeAll(tool, dryRun)
  if (user !== undefined) return revokeOf(tool, (await userOf(tool, user)).id, dryRun)
  const typed = ids.filter((id) => id !== '-')
  const wrong = typed.find((id) => !UUID.test(id))
  if (wrong !== undefined) throw noSession(wrong)
  const named = ids.includes('-') ? [...typed, ...(await idsFromStdin())] : typed
  const different = [...new Set(named.map((id) => id.toLowerCase()))]
  return dryRun ? wouldEndEach(tool, different) : revokeEach(tool, different)
}

function noSession(id: string): Failure {
  return endOfId(id, 'ch202 sessions list') ?? usage(`${plain(id)} is no session id`, 'ch202 sessions list')
}

/** It may name none: a list of sessions that is empty is as it should be. */
async function idsFromStdin(): Promise<string[]> {
  return (await Bun.stdin.text()).split(/\s+/).filter(Boolean)
}

async function revokeAll(tool: Tool, dryRun = false): Promise<void> {
  const { total } = await page(tool, { ...EVERYONE, size: '1' })
  if (dryRun) return tool.out.record({ would_revoke: total, changed: false })
  if (total === 0) return tool.out.record({ revoked: 0, changed: false })
  const { credential } = await tool.connection()
  const own = credential?.kind === 'session' ? ', your own among them' : ''
  await confirm(`End all ${count(total ?? 0)} sessions${own}?`, { yes: tool.globals.yes })
  await revokeWhere(tool, EVERYONE)
}

async function revokeOf(tool: Tool, userId: string, dryRun = false): Promise<void> {
  const whose = { user_id: userId }
  return dryRun ? tool.out.record(await wouldEnd(tool, whose)) : revokeWhere(tool, whose)
}

async function revokeWhere(tool: Tool, query: Whose): Promise<void> {
  const api = await tool.api()
  const answer = await api.auth((auth) => auth.auth.sessions.delete(undefined, { query }))
  await tool.out.record({ ...answer, changed: answer.revoked > 0 })
}

/** @param wanted only these, where they are named: there may be many more */
async function wouldEnd(tool: Tool, whose: Whose, wanted?: readonly string[]): Promise<Row> {
  const left = new Set(wanted)
  const live: string[] = []
  for await (const { items } of pages((part) => page(tool, { ...whose, ...part }))) {
    for (const { id } of items) if (!wanted || left.delete(String(id))) live.push(String(id))
    if (wanted && left.size === 0) break
  }
  return { would_revoke: live.length, ids: live, changed: false }
}

async function wouldEndEach(tool: Tool, ids: readonly string[]): Promise<void> {
  const wanted = ids.filter((id) => UUID.test(id))
  const failures = ids.filter((id) => !UUID.test(id)).map(noSession)
  const found = await wouldEnd(tool, EVERYONE, wanted)
  await tellAll(tool, found, failures, failures.length < ids.length)
}

/** @param partly whether any of it came to an end that is no failure */
async function tellAll(tool: Tool, record: Row, failures: readonly Failure[], partly: boolean): Promise<void> {
  const [first] = failures
  if (!first) return tool.out.record(record)
  // What is the same for many, such as a service that is away, is said once.
  const different = [...new Map(failures.map((failure) => [failure.message, failure])).values()]
  if (!partly && (tool.out.json || different.length === 1)) throw first
  const { changed, ...done } = record
  const errors = tool.out.json ? { errors: different.map(failureRead) } : {}
  if (partly) await tool.out.record({ ...done, failed: failures.length, ...errors, changed })
  if (!tool.out.json) for (const failure of different) printFailure(failure, tool.globals.output)
  process.exitCode = partly ? EXIT.partly : first.exit
}

/** One after the other. A session that has ended, or never was, is as it was asked to be. */
async function revokeEach(tool: Tool, ids: readonly string[]): Promise<void> {
  const api = await tool.api()
  const progress = new Progress('revoked', tool.globals.quiet)
  const failures: Failure[] = []
  let revoked = 0
  let ended = 0
  let stoppedAt: string | undefined
  const stop = stopBetweenItems()
  for (const [at, id] of ids.entries()) {
    if (stop.asked) {
      stoppedAt = id
      break
    }
    try {
      if (!UUID.test(id)) throw noSession(id)
      await api.auth((auth) => auth.auth.sessions({ session_id: id }).delete())
      revoked++
    } catch (error) {
      const failure = asFailure(error)
      if (failure.exit === EXIT.notFound) ended++
      else failures.push(failure)
      // Who is not let in for one is not for the others.
      if (failure.exit === EXIT.notLoggedIn || failure.exit === EXIT.forbidden) break
    }
    progress.update(at + 1, { total: ids.length })
  }
  progress.clear()
  await tellAll(tool, { revoked, changed: revoked > 0 }, failures, revoked + ended > 0)
  if (stoppedAt !== undefined) {
    tool.out.say(`Stopped at ${stoppedAt}: run it again for the rest`)
    process.exitCode = EXIT.interrupted
  }
}
