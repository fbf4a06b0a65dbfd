import { type Command, Option } from 'commander'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { flags, type ListOptions, list, listCommand } from '../../tool/lists.ts'
import { withoutUndefined } from '../../without-undefined.ts'

const COLUMNS = ['id', 'email', 'name', 'username', 'roles', 'status', 'created_at']
const SORTS = ['created_at', '-created_at', 'email', '-email'] as const

type Filters = ListOptions & {
  search?: string
  role?: string
  status?: 'active' | 'disabled'
  /** False: `--no-password`. */
  password: boolean
  unverified?: boolean
  sort?: (typeof SORTS)[number]
}

/** Adds `users list`. */
export function addList(users: Command): void {
  listCommand(
    addCommand(users, 'list', 'List users, oldest first', [
      'ch202 users list --search ana',
      'ch202 users list --role ADMIN --status active -o json',
      'ch202 users list --no-password --all -o ids',
      'ch202 users list --all -o csv > users.csv',
    ])
      .option('--search <part>', 'only users with this text in their email, username or name, ignoring case')
      .option('--role <role>', 'only users with this role')
      .addOption(new Option('--status <status>', 'only users with this status').choices(['active', 'disabled']))
      .option('--no-password', 'only users without a password')
      .option('--unverified', 'only users whose email is not verified')
      .addOption(new Option('--sort <order>', 'sort order; - reverses it (default: created_at)').choices(SORTS)),
  ).action(withTool(listUsers))
}

async function listUsers(
  tool: Tool,
  { password, search, role, status, sort, unverified, ...options }: Filters,
): Promise<void> {
  const api = await tool.api()
  const filters = withoutUndefined({ search, role, status, sort })
  const query = {
    ...filters,
    ...(password ? {} : { has_password: 'false' as const }),
    ...(unverified ? { email_verified: 'false' as const } : {}),
  }
  const words = [...flags(filters), ...(password ? [] : ['--no-password']), ...(unverified ? ['--unverified'] : [])]
  await list(tool, options, ['users', 'list', ...words], COLUMNS, (page) =>
    api.users((users) => users.users.get({ query: { ...query, ...page } })),
  )
}
