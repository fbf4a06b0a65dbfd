import { type Command, Option } from 'commander'
import { addCommand, collect, withTool } from '../../../command.ts'
import type { ExportOptions } from './export.ts'
import { FORMATS, type ImportOptions, ON_CONFLICT } from './import-options.ts'

/** Adds `users import` to the noun. */
export function importCommand(users: Command): void {
  addCommand(users, 'import', 'Import users from a file of this tool, Auth0, Keycloak, Supabase, Firebase or Django', [
    'ch202 users export --with-hashes | ch202 users import - --format jsonl --on-conflict skip',
    "printf 'email,password,roles\\nzoe@example.org,correct horse battery,USER;EDITOR\\n' | ch202 users import - --format csv --on-conflict update",
    "printf 'email,name\\nzoe@example.org,Zoe\\n' | ch202 users import - --format csv --on-conflict update",
    "printf 'email,roles\\nzoe@example.org,Счета\\n' | ch202 users import - --format csv --role-map Счета=BILLING --on-conflict update",
  ])
    .argument('<file>', 'the file; - reads standard input')
    .addOption(
      new Option(
        '--format <format>',
        'what the file is, where its name does not end in .jsonl, .ndjson or .csv',
      ).choices(FORMATS),
    )
    .addOption(
      new Option('--on-conflict <what>', 'what to do with an email that is taken (default: fail)').choices(ON_CONFLICT),
    )
    .option('--dry-run', 'read and check all of it, and write nothing')
    .option('--errors <file>', 'a file for what could not be imported, to be mended and imported again')
    .option('--resume', 'go on with an import that was stopped')
    .option('--keep-admins', 'let who is an administrator there be one here')
    .option(
      '--role-map <theirs=OURS>',
      'what a role of theirs becomes here; may be given again, or name a file of such lines',
      collect,
    )
    .option('--hash-config <file>', 'the hash parameters of a Firebase project')
    .action(
      withTool(async (tool, options: ImportOptions, file: string) => {
        const { importUsers } = await import('./import.ts')
        await importUsers(tool, options, file)
      }),
    )
}

/** Adds `users export` to the noun. */
export function exportCommand(users: Command): void {
  addCommand(users, 'export', 'Write all users, in a form that users import reads', [
    'ch202 users export --with-hashes > users.jsonl',
    'ch202 users export --format csv --bom > users.csv',
  ])
    .addOption(
      new Option('--format <format>', 'the form of what is written (default: jsonl)').choices(['jsonl', 'csv']),
    )
    .option('--with-hashes', 'with the hashes of the passwords; the audit keeps that it was asked for')
    .action(
      withTool(async (tool, options: ExportOptions) => {
        const { exportUsers } = await import('./export.ts')
        await exportUsers(tool, options)
      }),
    )
}
