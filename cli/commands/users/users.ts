import { type Command, Option } from 'commander'
import type { UserRead } from '../../../services/kit/schema/user.ts'
import { forEachRef, REFS, userOf } from '../../client/refs.ts'
import { addCommand, collectNames, group, type Tool, withTool } from '../../command.ts'
import { EXIT, Failure, usage } from '../../exit.ts'
import { type Extent, flags, list, listCommand } from '../../terminal/lists.ts'
import { type PasswordOptions, passwordOf } from '../../terminal/passwords.ts'
import { quoted } from '../../terminal/shell.ts'
import { confirm } from '../../terminal/terminal.ts'
import { withoutUndefined } from '../../without-undefined.ts'
import { exportCommand, importCommand } from './bulk/commands.ts'

const COLUMNS = ['id', 'email', 'name', 'username', 'roles', 'status', 'created_at']
const SORTS = ['created_at', '-created_at', 'email', '-email'] as const

interface Fields {
  email?: string
  username?: string | false
  name?: string | false
  role?: string[]
  verified?: boolean
}

export function usersCommand(): Command {
  const users = group('users', 'Create, find, change and delete users')

  withPassword(
    addCommand(users, 'create', 'Create a user', [
      'ch202 users create ana@example.org --generate',
      "printf 'correct horse battery' | ch202 users create root@example.org --role USER --role ADMIN --password-stdin",
    ]).argument('<email>', 'the email of the user'),
  )
    .option('--username <username>', 'a name to log in with')
    .option('--name <name>', 'what the user is called')
    .option('--role <role>', 'a role; may be given again (default: USER)', collectNames)
    .option('--verified', 'the email is known to be the user’s')
    .option('--if-not-exists', 'take it as done where the user exists')
    .action(withTool(create))

  listCommand(
    addCommand(users, 'list', 'List users, oldest first', [
      'ch202 users list --search ana',
      'ch202 users list --role ADMIN --status active -o json',
      'ch202 users list --no-password --all -o ids',
      'ch202 users list --all -o csv > users.csv',
    ])
      .option('--search <part>', 'only those with this in the email, the username or the name, in any case')
      .option('--role <role>', 'only those who have this role')
      .addOption(new Option('--status <status>', 'only those of this status').choices(['active', 'disabled']))
      .option('--no-password', 'only those who have no password')
      .option('--unverified', 'only those whose email is not known to be theirs')
      .addOption(new Option('--sort <order>', 'another order').choices(SORTS)),
  ).action(withTool(listUsers))

  addCommand(users, 'get', 'Show a user', [
    'ch202 users get ana@example.org',
    'ch202 users get ana --fields id,roles -o json',
  ])
    .argument('<ref>', REFS)
    .action(
      withTool((tool, _: object, ref: string) =>
        forEachRef(tool, ref, async (one) => ({ ...(await userOf(tool, one)) })),
      ),
    )

  addCommand(users, 'update', 'Change a user', [
    'ch202 users update ana@example.org --name "Ana Lima"',
    'ch202 users update ana --role USER --role EDITOR',
  ])
    .argument('<ref>', REFS)
    .option('--email <email>', 'another email')
    .option('--username <username>', 'another name to log in with')
    .option('--no-username', 'without a username')
    .option('--name <name>', 'what the user is called')
    .option('--no-name', 'without a name')
    .option('--role <role>', 'all its roles from now on; may be given again', collectNames)
    .option('--verified', 'the email is known to be the user’s')
    .option('--no-verified', 'the email is not known to be the user’s')
    .action(withTool(update))

  addCommand(users, 'disable', 'End the sessions of a user, and refuse its logins', [
    'ch202 users disable ana@example.org',
    'ch202 users list --role GUEST --all -o ids | ch202 users disable -',
  ])
    .argument('<ref>', REFS)
    .action(
      withTool((tool, _: object, ref: string) =>
        forEachRef(tool, ref, (one) => patch(tool, one, { status: 'disabled' })),
      ),
    )

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

  addCommand(users, 'delete', 'Delete a user, its sessions and its settings', [
    'ch202 users delete ben@example.org --confirm ben@example.org',
    'ch202 users delete cleo@example.org --yes',
  ])
    .argument('<ref>', REFS)
    .option('--confirm <email>', 'the email of the user, in place of --yes')
    .action(withTool(deleteUser))

  withPassword(
    addCommand(users, 'set-password', 'Set the password of a user; its sessions end', [
      'ch202 users set-password ana@example.org --generate',
      "printf 'battery horse correct' | ch202 users set-password ana --password-stdin",
    ]).argument('<ref>', REFS),
  ).action(withTool(setPassword))

  addCommand(users, 'send-reset', 'Mail a user a link to set a new password', [
    'ch202 users send-reset ana@example.org',
    'ch202 users send-reset ana -o json',
  ])
    .argument('<ref>', REFS)
    .action(withTool((tool, _: object, ref: string) => forEachRef(tool, ref, (one) => sendReset(tool, one))))

  importCommand(users)
  exportCommand(users)
  return users
}

function withPassword(command: Command): Command {
  return command
    .option('--password-stdin', 'read the password from standard input')
    .option('--generate', 'make a password and print it, once')
}

async function create(
  tool: Tool,
  options: Fields & PasswordOptions & { ifNotExists?: boolean },
  email: string,
): Promise<void> {
  const password = await passwordOf(options)
  const api = await tool.api()
  const { name, role, username, verified } = options
  const user = {
    email,
    password,
    ...(username ? { username } : {}),
    ...(name ? { name } : {}),
    ...withoutUndefined({ roles: role, email_verified: verified }),
  }
  try {
    const created = await api.users((users) => users.users.post(user), taken(email))
    await tool.out.record({ ...created, ...(options.generate ? { password } : {}), changed: true })
  } catch (error) {
    if (!(error instanceof Failure) || error.said.code !== 'email_taken') throw error
    if (!options.ifNotExists) throw new Failure(error.exit, `${error.message}: ${email}`, error.said)
    await tool.out.record({ ...(await userOf(tool, email)), changed: false })
  }
}

function taken(email: string) {
  return (code: string) => (code === 'email_taken' ? `ch202 users get ${email}` : undefined)
}

type Filters = Extent & {
  search?: string
  role?: string
  status?: 'active' | 'disabled'
  /** False: `--no-password`. */
  password: boolean
  unverified?: boolean
  sort?: (typeof SORTS)[number]
}

async function listUsers(
  tool: Tool,
  { password, search, role, status, sort, unverified, ...extent }: Filters,
): Promise<void> {
  const api = await tool.api()
  const named = withoutUndefined({ search, role, status, sort })
  const filter = {
    ...named,
    ...(password ? {} : { has_password: 'false' as const }),
    ...(unverified ? { email_verified: 'false' as const } : {}),
  }
  const words = [...flags(named), ...(password ? [] : ['--no-password']), ...(unverified ? ['--unverified'] : [])]
  await list(tool, extent, ['users', 'list', ...words], COLUMNS, (part) =>
    api.users((users) => users.users.get({ query: { ...filter, ...part } })),
  )
}

async function update(tool: Tool, { email, name, role, username, verified }: Fields, ref: string): Promise<void> {
  const fields = withoutUndefined({
    email,
    username: username === undefined ? undefined : username || null,
    name: name === undefined ? undefined : name || null,
    roles: role,
    email_verified: verified,
  })
  if (Object.keys(fields).length === 0)
    throw usage('There is nothing to change: give --email, --username, --name, --role or --verified')
  await forEachRef(tool, ref, (one) => patch(tool, one, fields))
}

type Patch = {
  email?: string
  username?: string | null
  name?: string | null
  roles?: string[]
  status?: 'active' | 'disabled'
  email_verified?: boolean
}

/** The user as it is then, and whether that is another than before. */
async function patch(tool: Tool, ref: string, fields: Patch) {
  const [api, before] = [await tool.api(), await userOf(tool, ref)]
  const suggest = fields.email === undefined ? undefined : taken(fields.email)
  const after = await api.users((users) => users.users({ user_id: before.id }).patch(fields), suggest)
  return { ...after, changed: after.updated_at !== before.updated_at }
}

async function deleteUser(tool: Tool, { confirm: name }: { confirm?: string }, ref: string): Promise<void> {
  const { yes } = tool.globals
  if (ref === '-' && !yes) throw usage('To delete all that standard input names wants --yes')
  await forEachRef(tool, ref, async (one) => {
    const user = await userIfThere(tool, one)
    if (!user) {
      tool.out.say(`There is no user ${one}: nothing was deleted`)
      return { ok: true, changed: false }
    }
    await confirm(`Delete ${user.email}?`, { yes, confirm: name, name: user.email })
    const api = await tool.api()
    await api.users((users) => users.users({ user_id: user.id }).delete())
    return { ok: true, id: user.id, email: user.email, changed: true }
  })
}

async function userIfThere(tool: Tool, ref: string): Promise<UserRead | null> {
  try {
    return await userOf(tool, ref)
  } catch (error) {
    if (error instanceof Failure && error.exit === EXIT.notFound) return null
    throw error
  }
}

async function setPassword(tool: Tool, options: PasswordOptions, ref: string): Promise<void> {
  if (ref === '-' && !options.generate) throw usage('Standard input names the users: give --generate')
  const given = ref === '-' ? undefined : await passwordOf(options)
  await forEachRef(tool, ref, async (one) => {
    const [api, user] = [await tool.api(), await userOf(tool, one)]
    const new_password = given ?? (await passwordOf({ generate: true }))
    await api.users((users) => users.users({ user_id: user.id })['set-password'].post({ new_password }))
    const shown = options.generate ? { password: new_password } : {}
    return { ok: true, id: user.id, email: user.email, ...shown, changed: true }
  })
}

async function sendReset(tool: Tool, ref: string) {
  const [api, { email, id, status }] = [await tool.api(), await userOf(tool, ref)]
  // The API answers as if one went out, whoever asks.
  if (status === 'disabled')
    throw new Failure(EXIT.conflict, `No mail goes to ${email}, who is disabled`, {
      code: 'account_disabled',
      suggestion: `ch202 users enable ${quoted(email)}`,
    })
  const answer = await api.auth((auth) => auth.auth['password-reset-request'].post({ email }))
  return { ...answer, id, email, changed: true }
}
