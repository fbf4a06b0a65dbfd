import { afterAll, describe } from 'bun:test'
import { useDatabases } from '../support/postgres/system-database.ts'

// Runs the attacks on codes, links and second factors with a PostgreSQL database in place of the SQLite files. `bun run soak
// --postgres` runs this file; the suite does not.

useDatabases('postgres')
afterAll(() => useDatabases('sqlite'))

const FILES = [
  'challenges',
  'pre-hijacking',
  'email-undo',
  'factor-review',
  'factors',
  'hijacked-factors',
  'passkeys',
  'second-factor-codes',
]
for (const file of FILES)
  describe(`${file} on PostgreSQL`, async () => {
    await import(`./${file}.test.ts`)
  })
