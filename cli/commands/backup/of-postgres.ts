import { databaseUrlOf } from '../../client/settings.ts'
import { EXIT, Failure } from '../../exit.ts'
import type { Tool } from '../../tool/command.ts'

/** The tools of PostgreSQL that take the place of a command for files. */
const INSTEAD = {
  create: 'pg_dump --format=custom --file=ch202.dump "$DATABASE_URL"',
  list: 'pg_dump --format=custom --file=ch202.dump "$DATABASE_URL"',
  push: 'pg_dump --format=custom --file=ch202.dump "$DATABASE_URL"',
  pull: 'pg_restore --no-owner --dbname="$RESTORED_URL" ch202.dump',
  restore: 'pg_restore --no-owner --dbname="$RESTORED_URL" ch202.dump',
  verify: 'ch202 backup verify --from "$RESTORED_URL"',
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
