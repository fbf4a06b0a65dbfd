import { PostgresFailure } from '../../../db/postgres/failure.ts'
import { inspecting, type ServerState, type Standby, serverState } from '../../../db/postgres/inspect/server.ts'
import { readDatabaseUrl } from '../../../services/kit/process/database-url.ts'
import { SERVICES_WITH_DATABASE } from '../../../services/registry.ts'
import { count, counted } from '../../terminal/terminal.ts'
import { type Check, type DoctorContext, type Finding, failed, ok, skipped, UNREACHABLE, warning } from './check.ts'

const VERSION_MIN = 15
/** Part of the connections above which a further node may find none. */
const CONNECTIONS_HIGH = 0.8
/** Milliseconds by which clocks of nodes may differ. */
const DIFFERENCE_MAX = 2000

const MEGABYTE = 1024 * 1024
/** Bytes of changes by which a standby may be behind. */
const BEHIND_MAX = 64 * MEGABYTE

/** Checks of the PostgreSQL database, in place of those of the files. */
export const postgresChecks: Check[] = [
  check('reachable', 'the database of `DATABASE_URL` takes connections of its user', ({ host, latencyMs }) =>
    ok(`${host} answers in ${Math.round(latencyMs)} ms`),
  ),
  check('version', `PostgreSQL is of version ${VERSION_MIN} or newer`, ({ version }) => {
    const major = Number.parseInt(version, 10)
    if (major >= VERSION_MIN) return ok(`PostgreSQL ${version}`)
    return failed(`PostgreSQL ${version} is older than ${VERSION_MIN}`, `apt-get install postgresql-${VERSION_MIN}`)
  }),
  check('encoding', 'the database is encoded in UTF8', ({ encoding }) => {
    if (encoding === 'UTF8') return ok('The encoding is UTF8')
    return failed(
      `The encoding is ${encoding}: names in other scripts cannot be stored`,
      'CREATE DATABASE ch202 TEMPLATE template0 ENCODING UTF8',
    )
  }),
  check(
    'collation',
    'every text column compares byte by byte (`COLLATE "C"`), as the order of lists needs',
    (state) => {
      const [first] = state.collatedColumns
      if (first === undefined) return ok('Every text column has the collation C')
      return failed(
        `Columns with another collation: ${state.collatedColumns.join(', ')}`,
        `ALTER TABLE … ALTER COLUMN ${first.split('.').at(-1)} TYPE text COLLATE "C"`,
      )
    },
  ),
  check('search', 'searches use an index (the extension `pg_trgm`)', ({ hasSearchIndex, hasTrigrams, hasUsers }) => {
    if (hasSearchIndex) return ok('Searches use an index of trigrams')
    if (!hasTrigrams)
      return warning('Searches read all users: the extension pg_trgm is missing', 'CREATE EXTENSION pg_trgm')
    if (!hasUsers) return ok('The extension pg_trgm is there: the first start creates the index')
    return warning(
      'Searches read all users: pg_trgm is there, but the index was not created',
      'CREATE INDEX CONCURRENTLY users_search ON users.users USING gin (search_text public.gin_trgm_ops)',
    )
  }),
  check(
    'replication',
    'the database is a primary, a failover loses nothing that was acknowledged, and its standbys keep up',
    replication,
  ),
  check('connections', 'the server has connections left: a warning above 80 %', ({ connections, connectionsMax }) => {
    const message = `${connections} of ${connectionsMax} connections are in use`
    if (connections <= connectionsMax * CONNECTIONS_HIGH) return ok(message)
    return warning(message, `ALTER SYSTEM SET max_connections = ${connectionsMax * 2}`)
  }),
  check('clock', 'the clock of the database differs from that of this machine by less than 2 s', ({ aheadMs }) => {
    const seconds = Math.abs(aheadMs / 1000).toFixed(1)
    if (Math.abs(aheadMs) <= DIFFERENCE_MAX) return ok(`The clocks differ by ${seconds} s`)
    return warning(
      `The clock of the database is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} that of this machine`,
      'timedatectl',
    )
  }),
]

function check(id: string, describes: string, examine: (state: ServerState) => Finding): Check {
  return {
    id: `database.${id}`,
    describes,
    only: 'postgres',
    async run(context) {
      const state = await stateOf(context)
      if (!(state instanceof PostgresFailure)) return examine(state)
      if (id !== 'reachable') return skipped(UNREACHABLE)
      return failed(`${state.message} (${state.code})`, 'ch202 config show --origin')
    },
  }
}

function replication(state: ServerState): Finding {
  if (state.isStandby)
    return failed('This server is a standby: it takes no writes', 'DATABASE_URL=postgres://… of the primary')
  if (state.isReadOnly)
    return failed('The database is read-only', 'ALTER DATABASE ch202 RESET default_transaction_read_only')
  const { standbyCount, standbys, synchronousCommit, synchronousStandbyNames } = state
  if (synchronousCommit === 'off')
    return warning(
      'synchronous_commit is off: a crash loses what was acknowledged, revocations included',
      'ALTER SYSTEM SET synchronous_commit = on',
    )
  if (standbys === null)
    return {
      ...skipped(
        `A primary with ${counted(standbyCount, 'standby', 'standbys')}. Its user may not see whether one is synchronous, or how far behind each is`,
      ),
      suggestion: `GRANT pg_monitor TO ${state.user}`,
    }
  const isSynchronous = standbys.some((standby) => standby.isSynchronous)
  if (synchronousStandbyNames !== '' && !isSynchronous)
    return failed(
      `synchronous_standby_names is ${synchronousStandbyNames}, and no such standby is connected: every change waits for one`,
      "start the standby, or: ALTER SYSTEM SET synchronous_standby_names = ''",
    )
  if (standbys.length === 0) return ok('This server is a primary without standbys')
  const message = `A primary with ${counted(standbys.length, 'standby', 'standbys')}: ${standbys.map(standbyText).join('; ')}`
  if (!isSynchronous)
    return warning(
      `${message}. None is synchronous: a failover may lose what was acknowledged`,
      "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'",
    )
  if (synchronousCommit === 'local')
    return warning(
      `${message}. synchronous_commit is local, so that no change waits for a standby: a failover may lose what was acknowledged`,
      'ALTER SYSTEM SET synchronous_commit = on',
    )
  const late = standbys.filter(({ behind, state: phase }) => phase !== 'streaming' || (behind ?? 0) > BEHIND_MAX)
  if (late.length === 0) return ok(message)
  return warning(`${message}. Behind: ${late.map(({ name }) => name).join(', ')}`, 'SELECT * FROM pg_stat_replication')
}

function standbyText({ behind, isSynchronous, name, state }: Standby): string {
  const lag = behind === null ? '' : `, ${bytes(behind)} behind`
  return `${name} is ${isSynchronous ? 'synchronous' : 'asynchronous'}${lag}${state === 'streaming' ? '' : ` (${state})`}`
}

function bytes(size: number): string {
  return size < MEGABYTE ? `${Math.ceil(size / 1024)} kB` : `${count(Math.round(size / MEGABYTE))} MB`
}

const states = new WeakMap<DoctorContext, Promise<ServerState | PostgresFailure>>()

/** Reads the state of the server once for all checks. */
function stateOf(context: DoctorContext): Promise<ServerState | PostgresFailure> {
  let state = states.get(context)
  if (!state) {
    state = readState(context.databaseUrl ?? '')
    states.set(context, state)
  }
  return state
}

async function readState(url: string): Promise<ServerState | PostgresFailure> {
  // `settings.valid` says what is wrong with it.
  if (typeof readDatabaseUrl(url) === 'string')
    return new PostgresFailure('DATABASE_URL is not valid: see settings.valid', 'INVALID_URL')
  try {
    return await inspecting(url, (tx) => serverState(tx, url, SERVICES_WITH_DATABASE))
  } catch (error) {
    if (error instanceof PostgresFailure) return error
    throw error
  }
}
