import { databaseUrlOf } from '../../client/settings.ts'
import { EXIT, Failure } from '../../exit.ts'
import type { Tool } from '../../tool/command.ts'

/** The service `ch202` of ~/.pg_service.conf has the address, so that no password is in the list of processes. */
const DUMP = 'umask 077; pg_dump --format=custom --file=ch202.dump service=ch202'
const RESTORE = 'pg_restore --no-owner --dbname=service=ch202_copy ch202.dump'

/** The commands that take the place of a command for files, most of them tools of PostgreSQL. */
export const INSTEAD = {
  create: DUMP,
  list: DUMP,
  push: DUMP,
  pull: RESTORE,
  restore: RESTORE,
  verify: 'printf %s "$RESTORED_URL" | ch202 backup verify --from -',
} as const

/**
 * Refuses a command for files when the data is in a PostgreSQL database.
 * @throws Failure that names what takes its place
 */
export function refuseWithPostgres({ env }: Tool, command: keyof typeof INSTEAD): void {
  if (databaseUrlOf(env) === undefined) return
  const reason =
    command === 'verify'
      ? 'Restore a dump, or a point in time, into an empty database: --from checks it'
      : 'pg_dump and pg_restore, or point-in-time recovery (pgBackRest, WAL-G, or that of your provider), take its place'
  throw new Failure(EXIT.usage, `The data is in the database of DATABASE_URL, not in files. ${reason}`, {
    code: 'not_for_postgres',
    suggestion: INSTEAD[command],
  })
}
