import type { Command } from 'commander'
import type { UserRead } from '../../../services/kit/schema/user.ts'
import { EXIT, Failure, usage } from '../../exit.ts'
import { confirm } from '../../terminal/confirm.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { forEachRef, REFS, userOf } from '../../tool/refs.ts'

/** Adds `users delete`. */
export function addDelete(users: Command): void {
  addCommand(users, 'delete', 'Delete a user with their sessions and module settings', [
    'ch202 users delete ben@example.org --confirm ben@example.org',
    'ch202 users delete cleo@example.org --yes',
  ])
    .argument('<ref>', REFS)
    .option('--confirm <email>', 'the email of the user, instead of --yes')
    .action(withTool(deleteUser))
}

async function deleteUser(tool: Tool, { confirm: confirmation }: { confirm?: string }, ref: string): Promise<void> {
  const { yes } = tool.globals
  if (ref === '-' && !yes) throw usage('Deleting the users listed on standard input requires --yes')
  await forEachRef(tool, ref, async (one) => {
    const user = await findUser(tool, one)
    if (!user) {
      tool.out.say(`There is no user ${one}: nothing was deleted`)
      return { ok: true, changed: false }
    }
    await confirm(`Delete ${user.email}?`, { yes, confirm: confirmation, name: user.email })
    const api = await tool.api()
    await api.users((users) => users.users({ user_id: user.id }).delete())
    return { ok: true, id: user.id, email: user.email, changed: true }
  })
}

/** Finds a user; null if there is no such user. */
async function findUser(tool: Tool, ref: string): Promise<UserRead | null> {
  try {
    return await userOf(tool, ref)
  } catch (error) {
    if (error instanceof Failure && error.exit === EXIT.notFound) return null
    throw error
  }
}
