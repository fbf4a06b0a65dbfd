import type { Command } from 'commander'
import { Failure } from '../../exit.ts'
import { type PasswordOptions, passwordOf, withPasswordOptions } from '../../terminal/passwords.ts'
import { quoted } from '../../terminal/shell.ts'
import { addCommand, collectNames, type Tool, withTool } from '../../tool/command.ts'
import { userOf } from '../../tool/refs.ts'
import { withoutUndefined } from '../../without-undefined.ts'

interface CreateOptions extends PasswordOptions {
  username?: string
  name?: string
  role?: string[]
  verified?: boolean
  ifNotExists?: boolean
}

/** Adds `users create`. */
export function addCreate(users: Command): void {
  withPasswordOptions(
    addCommand(users, 'create', 'Create a user', [
      'ch202 users create ana@example.org --generate',
      "printf 'correct horse battery' | ch202 users create root@example.org --role USER --role ADMIN --password-stdin",
    ]).argument('<email>', 'the email of the user'),
  )
    .option('--username <username>', 'a username to log in with')
    .option('--name <name>', 'the name of the user')
    .option('--role <role>', 'a role; can be repeated (default: USER)', collectNames)
    .option('--verified', 'mark the email as verified')
    .option('--if-not-exists', 'succeed without a change if the user already exists')
    .action(withTool(create))
}

async function create(tool: Tool, options: CreateOptions, email: string): Promise<void> {
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
    const created = await api.users((users) => users.users.post(user), suggestExisting(email))
    await tool.out.record({ ...created, ...(options.generate ? { password } : {}), changed: true })
  } catch (error) {
    if (!(error instanceof Failure) || error.details.code !== 'email_taken') throw error
    if (!options.ifNotExists) throw new Failure(error.exit, `${error.message}: ${email}`, error.details)
    await tool.out.record({ ...(await userOf(tool, email)), changed: false })
  }
}

/** Gives a function that suggests, for the code `email_taken`, the command that shows the user who has the email. */
export function suggestExisting(email: string) {
  return (code: string) => (code === 'email_taken' ? `ch202 users get ${quoted(email)}` : undefined)
}
