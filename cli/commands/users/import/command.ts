import { type Command, Option } from 'commander'
import { addCommand, collect, withTool } from '../../../tool/command.ts'
import { FORMATS } from './formats/format.ts'
import { type ImportOptions, ON_CONFLICT } from './options.ts'

/** Adds `users import` to `users`. */
export function addImport(users: Command): void {
  addCommand(users, 'import', 'Import users from a file of this tool, Auth0, Keycloak, Supabase, Firebase or Django', [
    'ch202 users export --with-hashes | ch202 users import - --format jsonl --on-conflict skip',
    "printf 'email,password,roles\\nzoe@example.org,correct horse battery,USER;EDITOR\\n' | ch202 users import - --format csv --on-conflict update",
    "printf 'email,name\\nzoe@example.org,Zoe\\n' | ch202 users import - --format csv --on-conflict update",
    "printf 'email,roles\\nzoe@example.org,Счета\\n' | ch202 users import - --format csv --role-map Счета=BILLING --on-conflict update",
  ])
    .argument('<file>', 'the file; - reads standard input')
    .addOption(
      new Option('--format <format>', 'format of the file (default: by its extension .jsonl, .ndjson or .csv)').choices(
        FORMATS,
      ),
    )
    .addOption(
      new Option('--on-conflict <action>', 'what to do if an email is already taken (default: fail)').choices(
        ON_CONFLICT,
      ),
    )
    .option('--dry-run', 'read and check the whole file without importing anything')
    .option('--errors <file>', 'write records that fail to this file, to be fixed and imported again')
    .option('--resume', 'continue an import that was stopped')
    .option('--keep-admins', 'keep the ADMIN role of imported administrators')
    .option(
      '--role-map <theirs=OURS>',
      'rename a role; can be repeated, or can name a file with one such line per role',
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
