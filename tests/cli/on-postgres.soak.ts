import { runOnPostgres } from '../support/postgres/on-postgres.ts'

// Runs the tests of the tool that talk to a running system with a PostgreSQL database. `bun run soak --postgres` runs
// this file; the suite does not.
const FILES_ALONE = 'concerns the files of SQLite; postgres.test.ts has what takes their place'
const OWN_PROCESSES = 'starts its own processes, whose files and settings are the subject'
const NO_SYSTEM = 'talks to no system, or to an imitation of one'

runOnPostgres(import.meta.dir, {
  'backup.test.ts': FILES_ALONE,
  'doctor.test.ts': FILES_ALONE,
  'migrate.test.ts': FILES_ALONE,
  'config.test.ts': NO_SYSTEM,
  'first-start.test.ts': OWN_PROCESSES,
  'health-ps.test.ts': OWN_PROCESSES,
  'local.test.ts': OWN_PROCESSES,
  'logs.test.ts': OWN_PROCESSES,
  'new-service.test.ts': OWN_PROCESSES,
  'start.test.ts': OWN_PROCESSES,
  'script.test.ts': NO_SYSTEM,
  'version.test.ts': NO_SYSTEM,
  'postgres.test.ts': 'has a PostgreSQL database in the suite already',
  'postgres-move.test.ts': 'has both kinds of databases in the suite already',
})
