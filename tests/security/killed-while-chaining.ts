import type { Database } from 'bun:sqlite'
import { authMigrations } from '../../db/sqlite/migrations/auth.ts'
import { chainAudit } from '../../db/sqlite/migrations/chain-audit.ts'
import { openDatabase } from '../../db/sqlite/open-database.ts'

/** Migrates a database, and kills the process at the n-th row that is chained. */
const [path = '', n = '1'] = process.argv.slice(2)
let countdown = Number(n)

function dying(raw: Database): Database {
  return new Proxy(raw, {
    get(target, name) {
      if (name !== 'query') return Reflect.get(target, name).bind(target)
      return (sql: string) => {
        const statement = target.query(sql)
        const run = statement.run.bind(statement)
        statement.run = (...values: unknown[]) => {
          if (--countdown < 0) process.kill(process.pid, 'SIGKILL')
          return run(...(values as []))
        }
        return statement
      }
    },
  })
}

const migrations = authMigrations.map((migration) =>
  migration.finish ? { ...migration, finish: (raw: Database) => chainAudit(dying(raw)) } : migration,
)
openDatabase(path, 'auth', migrations).close()
