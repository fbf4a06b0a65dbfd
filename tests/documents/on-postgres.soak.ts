import { runOnPostgres } from '../support/postgres/on-postgres.ts'

// Runs the clients of the five documents with a PostgreSQL database, one process for each service. `bun run soak
// --postgres` runs this file; the suite does not.
runOnPostgres(import.meta.dir, {
  'documents.test.ts': 'compares the tests with a page and starts nothing',
})
