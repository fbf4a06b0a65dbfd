import type { Command } from 'commander'
import { Failure } from '../../exit.ts'
import { asFailure } from '../../terminal/failures.ts'
import { count } from '../../terminal/terminal.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'

/** Adds `cache status`. */
export function addStatus(cache: Command): void {
  addCommand(cache, 'status', 'Show password cache statistics', [
    'ch202 cache status',
    'ch202 cache status -o json --fields entries,users',
  ]).action(withTool(status))
}

/** Prints auth's statistics with the number of all users, which the cache may not all have yet. */
async function status(tool: Tool): Promise<void> {
  const api = await tool.api()
  const [health, users] = await Promise.all([
    api.auth((auth) => auth.health.cache.get()),
    api.users((client) => client.users.get({ query: { size: '1' } })).catch(asFailure),
  ])
  const { entries, ...rest } = health
  if (users instanceof Failure) {
    tool.out.say(`${users.message}: the number of users is unknown`)
    return tool.out.record({ entries, users: null, ...rest })
  }
  const total = users.total ?? 0
  await tool.out.record({ entries, users: total, ...rest })
  if (entries > total)
    tool.out.say(`${count(entries - total)} entries of users who no longer exist\n→ ch202 cache sync`)
  else if (entries < total)
    tool.out.say(`${count(total - entries)} users not in the cache: fetched at their next login`)
}
