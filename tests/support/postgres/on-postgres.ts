import { afterAll, describe } from 'bun:test'
import { join } from 'node:path'
import { Glob } from 'bun'
import { useDatabases } from './system-database.ts'

/**
 * Runs the files of tests in a folder with a PostgreSQL database in place of the SQLite files.
 * @param others files that do not run, each with the reason
 * @throws Error for a name that is not a file of tests there
 */
export function runOnPostgres(folder: string, others: Readonly<Record<string, string>>): void {
  useDatabases('postgres')
  afterAll(() => useDatabases('sqlite'))
  runFiles(folder, 'on PostgreSQL', others)
}

/**
 * Runs the files of tests in a folder, each in a `describe` of its name.
 * @param how what is different in this run
 * @param others files that do not run, each with the reason
 * @throws Error for a name that is not a file of tests there
 */
export function runFiles(folder: string, how: string, others: Readonly<Record<string, string>>): void {
  const files = [...new Glob('*.test.ts').scanSync({ cwd: folder })].sort()
  const missing = Object.keys(others).filter((file) => !files.includes(file))
  if (missing.length > 0) throw new Error(`There is no file of tests ${missing.join(', ')} in ${folder}`)
  for (const file of files.filter((name) => !(name in others)))
    describe(`${file.replace(/(\.slow)?\.test\.ts$/, '')} ${how}`, async () => {
      await import(join(folder, file))
    })
}
