import { afterAll, describe } from 'bun:test'
import { join } from 'node:path'
import { Glob } from 'bun'
import { useDatabases } from '../support/system-database.ts'

/** Runs the contract a second time, in one process, with a PostgreSQL database in place of the SQLite files. */
const FOLDER = import.meta.dir
const files = [...new Glob('*.test.ts').scanSync({ cwd: FOLDER })].sort()

useDatabases('postgres')
afterAll(() => useDatabases('sqlite'))

for (const file of files)
  if (join(FOLDER, file) !== import.meta.path)
    describe(`${file.replace(/(\.slow)?\.test\.ts$/, '')} on PostgreSQL`, () => {
      require(`./${file}`)
    })
