import { DAY } from '../../../services/kit/clock.ts'
import type { UserRead } from '../../../services/kit/schema/user.ts'
import type { Api } from '../../client/api.ts'
import { EXIT, Failure } from '../../exit.ts'
import { confirm } from '../../terminal/confirm.ts'
import { asFailure, printFailure } from '../../terminal/failures.ts'
import { Progress } from '../../terminal/progress.ts'
import { stopBetweenItems } from '../../terminal/signals.ts'
import { count, counted, note } from '../../terminal/terminal.ts'
import type { Tool } from '../../tool/command.ts'
import { pages } from '../../tool/lists.ts'

/** How long the link of an invitation works. */
const WORKS_FOR = 7 * DAY
/** Requests at once. */
const AT_ONCE = 8

type User = Pick<UserRead, 'id' | 'email'>

/**
 * Invites every active user without a password. Repeated after it was stopped, it continues: whoever has an invitation that
 * still works is left out.
 * @param again also those
 */
export async function inviteAll(tool: Tool, again: boolean): Promise<void> {
  const api = await tool.api()
  const query = { has_password: 'false', status: 'active' } as const
  const { total } = await api.users((users) => users.users.get({ query: { ...query, size: '1' } }))
  if (total === 0 || total === null) return report(tool, { invited: 0, skipped: 0, failed: 0 })
  await confirm(`Email ${counted(total, 'user')} without a password an invitation?`, { yes: tool.globals.yes })

  const progress = new Progress('users', tool.globals.quiet)
  const stop = stopBetweenItems()
  const counts = { invited: 0, skipped: 0, failed: 0 }
  const failures: Failure[] = []
  const one = async (user: User) => {
    try {
      counts[await inviteOne(api, user, again)]++
    } catch (error) {
      const failure = asFailure(error)
      // Nobody else could be invited either.
      if (failure.exit === EXIT.notLoggedIn || failure.exit === EXIT.forbidden) throw failure
      counts.failed++
      failures.push(new Failure(failure.exit, `${user.email}: ${failure.message}`, failure.details))
    }
  }
  const list = pages((page) => api.users((users) => users.users.get({ query: { ...query, ...page } })))
  for await (const { items } of list) {
    const users = items as unknown as User[]
    for (let at = 0; at < users.length && !stop.requested; at += AT_ONCE) {
      await Promise.all(users.slice(at, at + AT_ONCE).map(one))
      progress.clear()
      for (const failure of failures.splice(0)) printFailure(failure, 'table')
      progress.update(counts.invited + counts.skipped + counts.failed, { total })
    }
    if (stop.requested) break
  }
  progress.clear()
  await report(tool, counts)
  if (stop.requested) {
    const done = counts.invited + counts.skipped + counts.failed
    note(`Stopped after ${count(done)} of ${count(total)}\n→ ch202 users invite --without-password --all`)
    process.exitCode = EXIT.interrupted
  } else if (counts.failed > 0) process.exitCode = counts.failed < total ? EXIT.partly : EXIT.failed
}

async function report(tool: Tool, counts: { invited: number; skipped: number; failed: number }): Promise<void> {
  await tool.out.record({ ...counts, changed: counts.invited > 0 })
  if (counts.skipped > 0)
    tool.out.say(
      `${counted(counts.skipped, 'user')} left out: their last invitation still works (--again invites them)`,
    )
}

async function inviteOne(api: Api, { id }: User, again: boolean): Promise<'invited' | 'skipped'> {
  if (!again && (await hasInvitation(api, id))) return 'skipped'
  await api.auth((auth) => auth.admin.invitations.post({ user_id: id }))
  return 'invited'
}

/** Whether a user was mailed an invitation that still works, or will be. */
async function hasInvitation(api: Api, user_id: string): Promise<boolean> {
  const query = { user_id, kind: 'invitation', size: '1' } as const
  const [last] = (await api.auth((auth) => auth.admin.mails.get({ query }))).items
  return last !== undefined && last.status !== 'failed' && Date.now() - Date.parse(last.created_at) < WORKS_FOR
}
