import { runOnPostgres } from '../support/on-postgres.ts'

const REFUSED_BEFORE = 'is about what is refused before any database is asked'

// Runs the contract a second time, in one process, with a PostgreSQL database in place of the SQLite files.
runOnPostgres(import.meta.dir, {
  'search-merging.slow.test.ts': 'the merging of the index of searches is that of SQLite',
  'issuer.slow.test.ts': 'starts processes, whose settings are the subject',
  'bodies.test.ts': REFUSED_BEFORE,
  'cross-origin.test.ts': REFUSED_BEFORE,
  'media-types.test.ts': REFUSED_BEFORE,
  'raw-requests.test.ts': REFUSED_BEFORE,
  'foreign-hashes.slow.test.ts': 'checks hashes of other products, which no database does',
  'idle.slow.test.ts': 'waits for connections of clients, which the database does not change',
  'on-postgres.slow.test.ts': 'is this file',
})
