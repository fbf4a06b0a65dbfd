import { afterAll, describe } from 'bun:test'
import { Glob } from 'bun'
import { useDatabases } from '../support/system-database.ts'

/** Runs the contract a second time, in one process, with a PostgreSQL database in place of the SQLite files. */
const FOLDER = import.meta.dir
/** Files of tests that concern SQLite alone, or that start processes. */
const OTHERS = ['search-merging.slow.test.ts', 'issuer.slow.test.ts', 'on-postgres.slow.test.ts']
const files = [...new Glob('*.test.ts').scanSync({ cwd: FOLDER })].filter((file) => !OTHERS.includes(file)).sort()

useDatabases('postgres')
afterAll(() => useDatabases('sqlite'))

for (const file of files)
  describe(`${file.replace(/(\.slow)?\.test\.ts$/, '')} on PostgreSQL`, async () => {
    await import(`./${file}`)
  })
