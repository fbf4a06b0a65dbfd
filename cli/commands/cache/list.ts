import type { Command } from 'commander'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { flags, type ListOptions, list, listCommand } from '../../tool/lists.ts'
import { withoutUndefined } from '../../without-undefined.ts'

const COLUMNS = ['user_id', 'email', 'username', 'status', 'password_version', 'synced_at']

/** Adds `cache list`. */
export function addList(cache: Command): void {
  listCommand(
    addCommand(cache, 'list', 'List the cached users, sorted by id', [
      'ch202 cache list --search ana',
      'ch202 cache list --all -o ids',
    ]).option('--search <part>', 'only users with this text in their email or username, ignoring case'),
  ).action(withTool(listCache))
}

async function listCache(tool: Tool, { search, ...options }: ListOptions & { search?: string }): Promise<void> {
  const api = await tool.api()
  const filter = withoutUndefined({ search })
  await list(tool, options, ['cache', 'list', ...flags(filter)], COLUMNS, (page) =>
    api.auth((auth) => auth.admin['password-cache'].get({ query: { ...filter, ...page } })),
  )
}
