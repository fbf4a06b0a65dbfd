import type { Command } from 'commander'
import { EXIT, type Failure, usage } from '../../exit.ts'
import { confirm } from '../../terminal/confirm.ts'
import { asFailure, failureFields, printFailure } from '../../terminal/failures.ts'
import { Progress } from '../../terminal/progress.ts'
import { stopBetweenItems } from '../../terminal/signals.ts'
import type { Row } from '../../terminal/table.ts'
import { count, plain } from '../../terminal/terminal.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { pages } from '../../tool/lists.ts'
import { ONE_REF, shortenedIdFailure, UUID, userOf } from '../../tool/refs.ts'
import { EVERYONE, type Owner, sessionsPage } from './list.ts'

interface RevokeOptions {
  user?: string
  all?: boolean
  dryRun?: boolean
}

/** Adds `sessions revoke`. */
export function addRevoke(sessions: Command): void {
  addCommand(sessions, 'revoke', 'End sessions: their tokens are refused everywhere at once', [
    'ch202 sessions revoke --user ana@example.org',
    'ch202 sessions revoke --all --dry-run',
    'ch202 sessions list --user ana -o ids | ch202 sessions revoke -',
  ])
    .argument('[id...]', 'ids of sessions; - reads one per line from standard input')
    .option('--user <ref>', `all sessions of this user: ${ONE_REF}`)
    .option('--all', 'all sessions of all users')
    .option('--dry-run', 'show which sessions would end without ending them')
    .action(withTool(revoke))
}

async function revoke(tool: Tool, { all, dryRun, user }: RevokeOptions, ids: string[]): Promise<void> {
  const selections = [ids.length > 0, user !== undefined, all === true].filter(Boolean)
  if (selections.length !== 1) throw usage('Say which sessions to end: their ids, --user <ref>, or --all')
  if (all) return revokeAll(tool, dryRun)
  if (user !== undefined) return revokeOfUser(tool, (await userOf(tool, user)).id, dryRun)
  const idArguments = ids.filter((id) => id !== '-')
  const invalid = idArguments.find((id) => !UUID.test(id))
  if (invalid !== undefined) throw notASessionId(invalid)
  const allIds = ids.includes('-') ? [...idArguments, ...(await idsFromStdin())] : idArguments
  const uniqueIds = [...new Set(allIds.map((id) => id.toLowerCase()))]
  return dryRun ? dryRunEach(tool, uniqueIds) : revokeEach(tool, uniqueIds)
}

function notASessionId(id: string): Failure {
  return (
    shortenedIdFailure(id, 'ch202 sessions list') ?? usage(`${plain(id)} is not a session id`, 'ch202 sessions list')
  )
}

/** Reads ids from standard input, which may be empty: there may be no sessions to end. */
async function idsFromStdin(): Promise<string[]> {
  return (await Bun.stdin.text()).split(/\s+/).filter(Boolean)
}

async function revokeAll(tool: Tool, dryRun = false): Promise<void> {
  const { total } = await sessionsPage(tool, { ...EVERYONE, size: '1' })
  if (dryRun) return tool.out.record({ would_revoke: total, changed: false })
  if (total === 0) return tool.out.record({ revoked: 0, changed: false })
  const { credential } = await tool.connection()
  const yours = credential?.kind === 'session' ? ', including yours' : ''
  await confirm(`End all ${count(total ?? 0)} sessions${yours}?`, { yes: tool.globals.yes })
  await revokeSessions(tool, EVERYONE)
}

async function revokeOfUser(tool: Tool, userId: string, dryRun = false): Promise<void> {
  const owner = { user_id: userId }
  return dryRun ? tool.out.record(await wouldRevoke(tool, owner)) : revokeSessions(tool, owner)
}

async function revokeSessions(tool: Tool, query: Owner): Promise<void> {
  const api = await tool.api()
  const answer = await api.auth((auth) => auth.auth.sessions.delete(undefined, { query }))
  await tool.out.record({ ...answer, changed: answer.revoked > 0 })
}

/** Lists the sessions that would end. @param ids only these sessions; reading stops once all of them were seen */
async function wouldRevoke(tool: Tool, owner: Owner, ids?: readonly string[]): Promise<Row> {
  const remaining = new Set(ids)
  const active: string[] = []
  for await (const { items } of pages((page) => sessionsPage(tool, { ...owner, ...page }))) {
    for (const { id } of items) if (!ids || remaining.delete(String(id))) active.push(String(id))
    if (ids && remaining.size === 0) break
  }
  return { would_revoke: active.length, ids: active, changed: false }
}

async function dryRunEach(tool: Tool, ids: readonly string[]): Promise<void> {
  const validIds = ids.filter((id) => UUID.test(id))
  const failures = ids.filter((id) => !UUID.test(id)).map(notASessionId)
  const result = await wouldRevoke(tool, EVERYONE, validIds)
  await printResult(tool, result, failures, { partly: failures.length < ids.length })
}

/** Prints the result and the failures. `partly`: whether any session was processed without a failure. */
async function printResult(
  tool: Tool,
  record: Row,
  failures: readonly Failure[],
  { partly }: { partly: boolean },
): Promise<void> {
  const [first] = failures
  if (!first) return tool.out.record(record)
  // The same failure for many sessions, such as an unreachable service, is printed once.
  const distinct = [...new Map(failures.map((failure) => [failure.message, failure])).values()]
  if (!partly && (tool.out.json || distinct.length === 1)) throw first
  const { changed, ...fields } = record
  const errors = tool.out.json ? { errors: distinct.map(failureFields) } : {}
  if (partly) await tool.out.record({ ...fields, failed: failures.length, ...errors, changed })
  if (!tool.out.json) for (const failure of distinct) printFailure(failure, tool.globals.output)
  process.exitCode = partly ? EXIT.partly : first.exit
}

/** Ends sessions one by one. A session that does not exist any more counts as ended. */
async function revokeEach(tool: Tool, ids: readonly string[]): Promise<void> {
  const api = await tool.api()
  const progress = new Progress('revoked', tool.globals.quiet)
  const failures: Failure[] = []
  let revoked = 0
  let alreadyEnded = 0
  let stoppedAt: string | undefined
  const stop = stopBetweenItems()
  for (const [at, id] of ids.entries()) {
    if (stop.requested) {
      stoppedAt = id
      break
    }
    try {
      if (!UUID.test(id)) throw notASessionId(id)
      await api.auth((auth) => auth.auth.sessions({ session_id: id }).delete())
      revoked++
    } catch (error) {
      const failure = asFailure(error)
      if (failure.exit === EXIT.notFound) alreadyEnded++
      else failures.push(failure)
      // A credential that is refused once is refused for every session.
      if (failure.exit === EXIT.notLoggedIn || failure.exit === EXIT.forbidden) break
    }
    progress.update(at + 1, { total: ids.length })
  }
  progress.clear()
  await printResult(tool, { revoked, changed: revoked > 0 }, failures, { partly: revoked + alreadyEnded > 0 })
  if (stoppedAt !== undefined) {
    tool.out.say(`Stopped at ${stoppedAt}: run the command again for the rest`)
    process.exitCode = EXIT.interrupted
  }
}
