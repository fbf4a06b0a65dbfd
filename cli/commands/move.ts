import { resolve } from 'node:path'
import type { MoveError, Place } from '../../db/move/move.ts'
import { addressText, checkedAddress, checkedDatabaseUrl } from '../client/database-url.ts'
import { runningServices } from '../client/instance/running.ts'
import { dataDirOf } from '../client/settings.ts'
import { EXIT, Failure, usage } from '../exit.ts'
import { Progress } from '../terminal/progress.ts'
import { quoted } from '../terminal/shell.ts'
import { command, type Tool, withTool } from '../tool/command.ts'
import { withoutUndefined } from '../without-undefined.ts'
import { withDatabaseFailures } from './database-failures.ts'

const FILES = 'sqlite:'
const PIPED = 'printf %s "$TARGET_URL" | ch202 move --to -'

export function moveCommand() {
  return command('move', 'Copy a stopped installation to PostgreSQL, or to SQLite files, and compare every row', [
    'ch202 move --to postgres://ch202@127.0.0.1:5432/ch202',
    PIPED,
    'DATABASE_URL=postgres://ch202@127.0.0.1:5432/ch202 ch202 move --to sqlite:./moved',
  ])
    .requiredOption('--to <place>', 'postgres://… of an empty database, or sqlite:<directory>; - for standard input')
    .action(withTool(move))
}

async function move({ env, globals, out }: Tool, options: { to: string }): Promise<void> {
  const url = checkedDatabaseUrl(env)
  const dataDir = dataDirOf(env)
  const from: Place = url === undefined ? { directory: dataDir } : { url }
  const to = placeOf(await addressText(options.to, PIPED))
  if ('directory' in from && 'directory' in to)
    throw usage(
      'The installation has SQLite files already: a backup copies them',
      `ch202 backup create && ch202 restore latest --to ${quoted(to.directory)}`,
    )
  if ([from, to].some((place) => 'url' in place && isPooled(place.url)))
    out.say('Behind a pooler not every node can be seen: make sure that all are stopped')
  refuseRunning(dataDir)
  if ('directory' in to) refuseRunning(to.directory)
  process.umask(0o077)
  const [{ moveInstallation }, { databases }] = await Promise.all([
    import('../../db/move/move.ts'),
    import('../../services/databases.ts'),
  ])
  const progress = new Progress('rows copied or compared', globals.quiet)
  const moved = await withMoveFailures(
    moveInstallation(from, to, { filesIn: databases, onProgress: (rows) => progress.update(rows) }),
    to,
  ).finally(() => progress.clear())
  await out.list(moved, ['service', 'tables', 'rows', 'verified'])
  out.say('✓ Every row is at the target, equal in every column, and the audit’s chain is intact')
  out.say(
    'url' in to
      ? 'Set DATABASE_URL to the target and keep the same secrets (secrets.env), then start the services'
      : `Remove DATABASE_URL, set CH202_DATA_DIR=${quoted(to.directory)} and keep the same secrets, then start the services`,
  )
  out.say('The source is unchanged: services must not run on both')
}

function placeOf(text: string): Place {
  if (text.startsWith(FILES)) {
    const directory = text.slice(FILES.length)
    if (directory === '') throw usage('--to sqlite: must name a directory, such as sqlite:./data')
    return { directory: resolve(directory) }
  }
  if (!text.includes(':')) throw usage('--to must be postgres://… or sqlite:<directory>')
  return { url: checkedAddress(text, '--to') }
}

/** Whether the address is of a pooler, which keeps connections of its own to the server. */
function isPooled(url: string): boolean {
  return new URL(url).searchParams.get('prepare') === 'false'
}

/** @throws Failure that names the services running on a data directory */
function refuseRunning(directory: string): void {
  const running = runningServices(directory).filter(({ process }) => process !== undefined)
  if (running.length === 0) return
  const names = running.map(({ pid, service }) => `${service} (process ${pid})`).join(', ')
  throw new Failure(EXIT.conflict, `Services are running on ${directory}: ${names}. Stop them first`, {
    code: 'in_use',
  })
}

const EXITS: Record<MoveError['code'], number> = {
  source_missing: EXIT.notFound,
  schema_version: EXIT.failed,
  in_use: EXIT.conflict,
  target_not_empty: EXIT.conflict,
  not_storable: EXIT.failed,
  not_verified: EXIT.checkFailed,
}

const SUGGESTIONS: Partial<Record<MoveError['code'], string>> = {
  source_missing: 'ch202 config show --origin',
  schema_version: 'ch202 migrate',
  not_verified: 'ch202 doctor --only audit',
}

/** Turns the errors of a move into failures. */
async function withMoveFailures<Result>(work: Promise<Result>, to: Place): Promise<Result> {
  const examine = `${'url' in to ? 'DATABASE_URL="$TARGET" ' : ''}ch202 doctor --only database`
  try {
    return await withDatabaseFailures(work, examine)
  } catch (error) {
    const { MoveError } = await import('../../db/move/move.ts')
    if (!(error instanceof MoveError)) throw error
    const { code, message } = error
    throw new Failure(EXITS[code], message, { code, ...withoutUndefined({ suggestion: SUGGESTIONS[code] }) })
  }
}
