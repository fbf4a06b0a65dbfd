import type { Command } from 'commander'
import type { ListPage } from '../../terminal/output.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { flags, type ListOptions, list, listCommand, type PageQuery } from '../../tool/lists.ts'
import { ONE_REF, userOf } from '../../tool/refs.ts'

const COLUMNS = ['id', 'user_id', 'created_at', 'last_used_at', 'expires_at', 'ip', 'user_agent']

/** Selects the sessions of all users. */
export const EVERYONE = { all: 'true' } as const
/** Selects the sessions of one user, or of all. */
export type Owner = { user_id: string } | typeof EVERYONE

/** Adds `sessions list`. */
export function addList(sessions: Command): void {
  listCommand(
    addCommand(sessions, 'list', 'List active sessions, newest first', [
      'ch202 sessions list --user ana@example.org',
      'ch202 sessions list --all --fields user_id,ip,last_used_at -o csv',
    ]).option('--user <ref>', `only sessions of this user: ${ONE_REF}`),
  ).action(withTool(listSessions))
}

async function listSessions(tool: Tool, { user, ...options }: ListOptions & { user?: string }): Promise<void> {
  const owner = user === undefined ? EVERYONE : { user_id: (await userOf(tool, user)).id }
  await list(tool, options, ['sessions', 'list', ...flags({ user })], COLUMNS, (page) =>
    sessionsPage(tool, { ...owner, ...page }),
  )
}

export async function sessionsPage(tool: Tool, query: Owner & PageQuery): Promise<ListPage> {
  const api = await tool.api()
  return api.auth((auth) => auth.auth.sessions.get({ query }))
}
