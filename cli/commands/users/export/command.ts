import { type Command, Option } from 'commander'
import { addCommand, withTool } from '../../../tool/command.ts'
import type { ExportOptions } from './export.ts'

/** Adds `users export` to `users`. */
export function addExport(users: Command): void {
  addCommand(users, 'export', 'Export all users in a format that users import reads', [
    'ch202 users export --with-hashes > users.jsonl',
    'ch202 users export --format csv --bom > users.csv',
  ])
    .addOption(new Option('--format <format>', 'output format (default: jsonl)').choices(['jsonl', 'csv']))
    .option('--with-hashes', 'include password hashes; the export is recorded in the audit log')
    .action(
      withTool(async (tool, options: ExportOptions) => {
        const { exportUsers } = await import('./export.ts')
        await exportUsers(tool, options)
      }),
    )
}
