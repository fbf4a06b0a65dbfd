import type { Command } from 'commander'
import { usage } from '../../exit.ts'
import { addCommand, collectNames, type Tool, withTool } from '../../tool/command.ts'
import { forEachRef, REFS, userOf } from '../../tool/refs.ts'
import { withoutUndefined } from '../../without-undefined.ts'
import { suggestExisting } from './create.ts'

interface UpdateOptions {
  email?: string
  /** False: `--no-username`. */
  username?: string | false
  /** False: `--no-name`. */
  name?: string | false
  role?: string[]
  verified?: boolean
}

/** Adds `users update`. */
export function addUpdate(users: Command): void {
  addCommand(users, 'update', 'Change a user', [
    'ch202 users update ana@example.org --name "Ana Lima"',
    'ch202 users update ana --role USER --role EDITOR',
  ])
    .argument('<ref>', REFS)
    .option('--email <email>', 'a new email')
    .option('--username <username>', 'a new username to log in with')
    .option('--no-username', 'remove the username')
    .option('--name <name>', 'a new name')
    .option('--no-name', 'remove the name')
    .option('--role <role>', 'replace all roles; can be repeated', collectNames)
    .option('--verified', 'mark the email as verified')
    .option('--no-verified', 'mark the email as not verified')
    .action(withTool(update))
}

/** Adds `users disable`. */
export function addDisable(users: Command): void {
  addCommand(users, 'disable', 'Disable a user: end their sessions and block logins', [
    'ch202 users disable ana@example.org',
    'ch202 users list --role GUEST --all -o ids | ch202 users disable -',
  ])
    .argument('<ref>', REFS)
    .action(
      withTool((tool, _: object, ref: string) =>
        forEachRef(tool, ref, (one) => patch(tool, one, { status: 'disabled' })),
      ),
    )
}

/** Adds `users enable`. */
export function addEnable(users: Command): void {
  addCommand(users, 'enable', 'Let a disabled user log in again', [
    'ch202 users enable ana@example.org',
    'ch202 users enable ana -o json',
  ])
    .argument('<ref>', REFS)
    .action(
      withTool((tool, _: object, ref: string) =>
        forEachRef(tool, ref, (one) => patch(tool, one, { status: 'active' })),
      ),
    )
}

async function update(
  tool: Tool,
  { email, name, role, username, verified }: UpdateOptions,
  ref: string,
): Promise<void> {
  const fields = withoutUndefined({
    email,
    username: username === undefined ? undefined : username || null,
    name: name === undefined ? undefined : name || null,
    roles: role,
    email_verified: verified,
  })
  if (Object.keys(fields).length === 0)
    throw usage('Nothing to change: give --email, --username, --name, --role or --verified')
  await forEachRef(tool, ref, (one) => patch(tool, one, fields))
}

interface UserPatch {
  email?: string
  username?: string | null
  name?: string | null
  roles?: string[]
  status?: 'active' | 'disabled'
  email_verified?: boolean
}

/** Changes a user and gives them as they are now, with `changed` if anything differs from before. */
async function patch(tool: Tool, ref: string, fields: UserPatch) {
  const [api, before] = [await tool.api(), await userOf(tool, ref)]
  const suggest = fields.email === undefined ? undefined : suggestExisting(fields.email)
  const after = await api.users((users) => users.users({ user_id: before.id }).patch(fields), suggest)
  return { ...after, changed: after.updated_at !== before.updated_at }
}
