import { Glob } from 'bun'
import { runOnPostgres } from '../support/postgres/on-postgres.ts'

/** Files that the suite runs: what reads and writes most. `bun run soak --postgres` runs all but those of `NEVER`. */
const SLICE = ['factors.test.ts', 'revocation.test.ts', 'sessions.test.ts']
const REFUSED_BEFORE = 'is about what is refused before any database is asked'
const NEVER: Record<string, string> = {
  'search-merging.slow.test.ts': 'the merging of the index of searches is that of SQLite',
  'issuer.slow.test.ts': 'starts processes, whose settings are the subject',
  'bodies.test.ts': REFUSED_BEFORE,
  'cross-origin.test.ts': REFUSED_BEFORE,
  'media-types.test.ts': REFUSED_BEFORE,
  'raw-requests.test.ts': REFUSED_BEFORE,
  'foreign-hashes.slow.test.ts': 'checks hashes of other products, which no database does',
  'idle.slow.test.ts': 'waits for connections of clients, which the database does not change',
  'on-postgres.slow.test.ts': 'is this file',
}
const isSoak = process.env.CH202_TEST_POSTGRES !== undefined
const rest = [...new Glob('*.test.ts').scanSync(import.meta.dir)].filter((file) => !SLICE.includes(file))
const notInSuite = Object.fromEntries(rest.map((file) => [file, 'runs in the soak']))

// Runs the contract a second time, in one process, with a PostgreSQL database in place of the SQLite files.
runOnPostgres(import.meta.dir, isSoak ? NEVER : notInSuite)
