import { type Command, Option } from 'commander'
import { MAIL_KINDS, MAIL_STATUSES, type MailKind, type MailStatus } from '../../../services/kit/schema/mails.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { flags, type ListOptions, list, listCommand } from '../../tool/lists.ts'
import { ONE_REF, userOf } from '../../tool/refs.ts'
import { withoutUndefined } from '../../without-undefined.ts'

/** The fields that fit a terminal; the other output formats have all of them. */
const COLUMNS = ['id', 'to', 'kind', 'status', 'tries', 'last_error', 'created_at']

interface Filters extends ListOptions {
  user?: string
  kind?: MailKind
  status?: MailStatus
}

/** Adds `mail list`. */
export function addList(mail: Command): void {
  listCommand(
    addCommand(mail, 'list', 'List emails that wait, were sent or have failed, newest first', [
      'ch202 mail list --status failed',
      'ch202 mail list --user ana@example.org -o json',
      'ch202 mail list --kind invitation --limit 5',
    ])
      .option('--user <ref>', `only emails to this user: ${ONE_REF}`)
      .addOption(new Option('--kind <kind>', 'only emails of this kind').choices(MAIL_KINDS))
      .addOption(new Option('--status <status>', 'only emails with this status').choices(MAIL_STATUSES)),
  ).action(withTool(listMails))
}

async function listMails(tool: Tool, { kind, status, user, ...options }: Filters): Promise<void> {
  const api = await tool.api()
  const user_id = user === undefined ? undefined : (await userOf(tool, user)).id
  const query = withoutUndefined({ user_id, kind, status })
  await list(tool, options, ['mail', 'list', ...flags({ user, kind, status })], COLUMNS, (page) =>
    api.auth((auth) => auth.admin.mails.get({ query: { ...query, ...page } })),
  )
}
