import { Database } from 'bun:sqlite'
import { existsSync, readFileSync } from 'node:fs'

/**
 * Loaded into a process before the program (`bun --preload`): the file `COMMITS` controls its commits. `fail`: each
 * commit throws SQLite's error for a failed fsync. A number: each commit takes that many milliseconds longer.
 */
const file = process.env.COMMITS ?? ''
const run = Database.prototype.run as (this: Database, sql: string, ...rest: unknown[]) => unknown

Database.prototype.run = function (this: Database, sql: string, ...rest: unknown[]) {
  const command = sql === 'COMMIT' && existsSync(file) ? readFileSync(file, 'utf8') : ''
  if (command === 'fail') {
    run.call(this, 'ROLLBACK')
    throw Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_FSYNC' })
  }
  if (command !== '') Bun.sleepSync(Number(command))
  return run.call(this, sql, ...rest)
} as typeof Database.prototype.run
