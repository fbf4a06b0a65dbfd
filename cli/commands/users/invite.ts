import { type Command, Option } from 'commander'
import { LOCALES, type Locale } from '../../../services/kit/locale.ts'
import { EXIT, Failure, usage } from '../../exit.ts'
import { quoted } from '../../terminal/shell.ts'
import { addCommand, collectNames, type Tool, withTool } from '../../tool/command.ts'
import { forEachRef } from '../../tool/refs.ts'
import { withoutUndefined } from '../../without-undefined.ts'
import { inviteAll } from './invite-all.ts'

interface InviteOptions {
  username?: string
  name?: string
  role?: string[]
  locale?: Locale
  withoutPassword?: boolean
  all?: boolean
  again?: boolean
}

/** The commands that help a user who cannot be invited, by the code of the API. */
const COMMANDS: Readonly<Record<string, string>> = { email_taken: 'send-reset', account_disabled: 'enable' }

/** Adds `users invite`. */
export function addInvite(users: Command): void {
  addCommand(users, 'invite', 'Email users a link by which they set their first password', [
    'ch202 users invite new@example.org --name "New User"',
    'ch202 users invite boss@example.org --role USER --role ADMIN --locale ru -o json',
    'ch202 users invite --without-password --all --yes',
  ])
    .argument('[email]', 'the email of a new user, or of one without a password; - reads one per line')
    .option('--username <username>', 'a username to log in with')
    .option('--name <name>', 'the name of the user')
    .option('--role <role>', 'a role; can be repeated (default: USER)', collectNames)
    .addOption(new Option('--locale <locale>', 'the language of the email (default: LOCALE)').choices(LOCALES))
    .option('--without-password', 'users who have no password, such as migrated ones; with --all')
    .option('--all', 'every such user whose last invitation does not work any more')
    .option('--again', 'with --all: also those whose last invitation still works')
    .action(withTool(invite))
}

async function invite(tool: Tool, options: InviteOptions, email?: string): Promise<void> {
  const { again = false, all = false, locale, name, role, username, withoutPassword = false } = options
  const user = withoutUndefined({ locale, name, roles: role, username })
  if (email !== undefined) {
    if (all || again || withoutPassword) throw usage('Give either an email, or --without-password --all')
    if (email === '-' && username !== undefined) throw usage('Several users cannot have one username')
    return await forEachRef(tool, email, (one) => inviteUser(tool, { email: one, ...user }))
  }
  if (!all || !withoutPassword) throw usage('Give an email, or --without-password --all')
  if (Object.keys(user).length > 0)
    throw usage('--without-password invites users as they are: give no fields of a user')
  await inviteAll(tool, again)
}

async function inviteUser(tool: Tool, user: { email: string }) {
  const api = await tool.api()
  const { email } = user
  try {
    const invited = await api.auth(
      (auth) => auth.admin.invitations.post(user),
      (code) => (Object.hasOwn(COMMANDS, code) ? `ch202 users ${COMMANDS[code]} ${quoted(email)}` : undefined),
    )
    return { ...invited.user, expires_at: invited.expires_at, changed: true }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    const { code } = error.details
    if (code === 'email_taken')
      throw new Failure(error.exit, `${email} has a password, so there is nothing to be invited to`, error.details)
    if (code === 'account_disabled')
      throw new Failure(EXIT.conflict, `${email} is disabled, so no email is sent`, error.details)
    throw error
  }
}
