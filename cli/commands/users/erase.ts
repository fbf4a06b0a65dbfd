import type { Command } from 'commander'
import type { UserRead } from '../../../services/kit/schema/user.ts'
import type { Api } from '../../client/api.ts'
import { EXIT, Failure, usage } from '../../exit.ts'
import { confirm } from '../../terminal/confirm.ts'
import type { Row } from '../../terminal/table.ts'
import { addCommand, collect, type Tool, withTool } from '../../tool/command.ts'
import { forEachRef, REFS, UUID, userOf } from '../../tool/refs.ts'

/** Adds `users erase`. */
export function addErase(users: Command): void {
  addCommand(users, 'erase', 'Delete a user, and everything personal that a deletion leaves', [
    'ch202 users erase ben@example.org --confirm ben@example.org',
    'ch202 users erase cleo@example.org --yes',
    'ch202 users erase 0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e --email ana@example.org',
  ])
    .argument('<ref>', `${REFS}; a user who was deleted before by their id alone`)
    .option('--confirm <email>', 'the email of the user, instead of --yes')
    .option(
      '--email <email>',
      'another email that they had, such as the one of a deleted user; can be repeated',
      collect,
    )
    .action(withTool(eraseUsers))
}

/** Milliseconds that the command waits until auth has erased everything, and between two looks. */
const PATIENCE = 60_000
const LOOK_EVERY = 250

interface EraseOptions {
  confirm?: string
  email?: string[]
}

async function eraseUsers(tool: Tool, options: EraseOptions, ref: string): Promise<void> {
  const { confirm: confirmation, email: emails = [] } = options
  const { yes } = tool.globals
  if (ref === '-' && emails.length > 0) throw usage('--email names the emails of one user: it requires a user, not -')
  if (ref === '-' && !yes) throw usage('Erasing the users listed on standard input requires --yes')
  await forEachRef(tool, ref, async (one) => {
    const user = await orNull(userOf(tool, one))
    if (!user && !UUID.test(one.trim())) {
      tool.out.say(
        `There is no user ${one}: nothing was erased. A user who was deleted is erased by their id, and --email`,
      )
      return { ok: true, changed: false }
    }
    const id = user?.id ?? one.trim().toLowerCase()
    const name = user?.email ?? id
    await confirm(`Erase ${name}?`, { yes, confirm: confirmation, name })
    return erase(tool, id, user, emails)
  })
}

async function erase(tool: Tool, id: string, user: UserRead | null, emails: string[]): Promise<Row> {
  const api = await tool.api()
  const before = await completion(api, id)
  const answer = await orNull(api.users((users) => users.users({ user_id: id }).erase.post({ emails })))
  if (!answer) {
    tool.out.say(`Nobody ever had the id ${id}: nothing was erased`)
    return { ok: true, changed: false }
  }
  const after = await completionAfter(api, id, before?.id)
  tool.out.say(
    after
      ? 'Logs, backups and what other systems have received are not erased: docs/operate/erasure.md'
      : `Auth has not erased everything yet, and continues\n→ ch202 audit list --type erasure.completed`,
  )
  if (!user && emails.length === 0)
    tool.out.say(
      `No email of a deleted user is stored: failed logins and mails under it that name no user are left\n→ ch202 users erase ${id} --email <email>`,
    )
  const rows = Number((after?.detail as { rows?: number } | undefined)?.rows ?? 0)
  return {
    ok: true,
    id,
    ...(user && { email: user.email }),
    changed: user !== null || rows > 0,
    completed: after !== null,
  }
}

/** Waits until the audit has a row that says that the erasure is complete. @returns null if that takes too long */
async function completionAfter(api: Api, id: string, before: string | undefined) {
  for (const end = Date.now() + PATIENCE; ; await Bun.sleep(LOOK_EVERY)) {
    const row = await completion(api, id)
    if (row && row.id !== before) return row
    if (Date.now() > end) return null
  }
}

/** The last row of the audit that says that the data of a user is erased; null without one. */
async function completion(api: Api, id: string) {
  const query = { user_id: id, type: 'erasure.completed', size: '1' }
  const { items } = await api.auth((auth) => auth.admin.audit.get({ query }))
  return items[0] ?? null
}

/** @throws the failure, unless it is that nothing was found */
async function orNull<T>(call: Promise<T>): Promise<T | null> {
  try {
    return await call
  } catch (error) {
    if (error instanceof Failure && error.exit === EXIT.notFound) return null
    throw error
  }
}
