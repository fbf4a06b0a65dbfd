import { resolve } from 'node:path'
import type { MoveError, Place } from '../../db/move/move.ts'
import { readDatabaseUrl } from '../../services/kit/process/database-url.ts'
import { runningServices } from '../client/instance/running.ts'
import { databaseUrlOf, dataDirOf } from '../client/settings.ts'
import { EXIT, Failure, usage } from '../exit.ts'
import { Progress } from '../terminal/progress.ts'
import { quoted } from '../terminal/shell.ts'
import { command, type Tool, withTool } from '../tool/command.ts'
import { withDatabaseFailures } from './database-failures.ts'

const FILES = 'sqlite:'

export function moveCommand() {
  return command('move', 'Copy a stopped installation to PostgreSQL, or to SQLite files, and compare every row', [
    'ch202 move --to postgres://ch202@127.0.0.1:5432/ch202',
    'DATABASE_URL=postgres://ch202@127.0.0.1:5432/ch202 ch202 move --to sqlite:./moved',
  ])
    .requiredOption('--to <place>', 'postgres://… of an empty database, or sqlite:<directory>')
    .action(withTool(move))
}

async function move({ env, globals, out }: Tool, options: { to: string }): Promise<void> {
  const url = databaseUrlOf(env)
  const dataDir = dataDirOf(env)
  const from: Place = url === undefined ? { directory: dataDir } : { url }
  const to = placeOf(options.to)
  if ('directory' in from && 'directory' in to)
    throw usage(
      'The installation has SQLite files already: a backup copies them',
      `ch202 backup create && ch202 restore latest --to ${quoted(to.directory)}`,
    )
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
  const fault = readDatabaseUrl(text)
  if (typeof fault === 'string') throw usage(`--to ${fault}, or sqlite:<directory>`)
  return { url: text }
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

/** Turns the errors of a move into failures. */
async function withMoveFailures<Result>(work: Promise<Result>): Promise<Result> {
  try {
    return await withDatabaseFailures(work)
  } catch (error) {
    const { MoveError } = await import('../../db/move/move.ts')
    if (!(error instanceof MoveError)) throw error
    const { code, message } = error
    const suggestion =
      code === 'schema_version' || code === 'source_missing'
        ? 'ch202 migrate'
        : code === 'not_verified'
          ? 'ch202 doctor --only audit'
          : undefined
    throw new Failure(EXITS[code], message, { code, ...(suggestion === undefined ? {} : { suggestion }) })
  }
}
