import type { Command } from 'commander'
import { addCommand, withTool } from '../../tool/command.ts'
import { forEachRef, REFS, userOf } from '../../tool/refs.ts'

/** Adds `users get`. */
export function addGet(users: Command): void {
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
}
