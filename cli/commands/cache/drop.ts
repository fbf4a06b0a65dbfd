import type { Command } from 'commander'
import { EXIT } from '../../exit.ts'
import { asFailure } from '../../terminal/failures.ts'
import type { Row } from '../../terminal/table.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { forEachRef, REFS } from '../../tool/refs.ts'
import { userOrEntry } from './entry.ts'

/** Adds `cache drop`. */
export function addDrop(cache: Command): void {
  addCommand(cache, 'drop', 'Drop a user from the cache: their next login asks the users service', [
    'ch202 cache drop ana@example.org',
    'ch202 users list --role ADMIN -o ids | ch202 cache drop -',
  ])
    .argument('<ref>', REFS)
    .action(withTool((tool, _: object, ref: string) => forEachRef(tool, ref, (one) => drop(tool, one))))
}

async function drop(tool: Tool, ref: string): Promise<Row> {
  const [api, user] = [await tool.api(), await userOrEntry(tool, ref)]
  try {
    await api.auth((auth) => auth.admin['password-cache']({ user_id: user.id }).delete())
  } catch (error) {
    if (asFailure(error).exit !== EXIT.notFound) throw error
    tool.out.say(`${user.email ?? ref} is not in the cache: nothing was dropped`)
    return { ok: true, ...user, changed: false }
  }
  return { ok: true, ...user, changed: true }
}
