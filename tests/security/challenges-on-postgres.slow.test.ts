import { afterAll, describe } from 'bun:test'
import { useDatabases } from '../support/system-database.ts'

// Runs the attacks on codes and links a second time, with a PostgreSQL database in place of the SQLite files.

useDatabases('postgres')
afterAll(() => useDatabases('sqlite'))

for (const file of ['challenges', 'pre-hijacking', 'email-undo'])
  describe(`${file} on PostgreSQL`, async () => {
    await import(`./${file}.test.ts`)
  })
