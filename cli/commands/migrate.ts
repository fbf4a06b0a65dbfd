import type { DatabaseFile } from '../../db/sqlite/database-file.ts'
import { checkedDatabaseUrl } from '../client/database-url.ts'
import { dataDirOf } from '../client/settings.ts'
import { command, withTool } from '../tool/command.ts'
import { withDatabaseFailures } from './database-failures.ts'

/** Gives the names of the migrations that a database lacks, and applies them unless they are only planned. */
type Migrate = (database: DatabaseFile, plan: boolean) => Promise<string[]>

export function migrateCommand() {
  return command('migrate', 'Apply pending migrations to every database', ['ch202 migrate --plan', 'ch202 migrate'])
    .option('--plan', 'show pending migrations without applying them')
    .action(
      withTool(async ({ env, out }, { plan = false }: { plan?: boolean }) => {
        const { databases } = await import('../../services/databases.ts')
        const url = checkedDatabaseUrl(env)
        const migrate = url === undefined ? migrateFile : await migrateSchema(url)
        const items = []
        for (const database of databases(url === undefined ? dataDirOf(env) : '')) {
          const pending = await migrate(database, plan)
          const state = pending.length === 0 ? 'up to date' : plan ? 'to apply' : 'applied'
          items.push({ database: database.name, state, migrations: pending, changed: !plan && pending.length > 0 })
        }
        await out.list(items, ['database', 'state', 'migrations'])
      }),
    )
}

const migrateFile: Migrate = async ({ migrations, name, path }, plan) => {
  const [{ openDatabase }, { plannedMigrations }] = await Promise.all([
    import('../../db/sqlite/open-database.ts'),
    import('../../db/sqlite/migrate.ts'),
  ])
  const pending = plannedMigrations(path, migrations)
  if (!plan) await openDatabase(path, name, migrations).close()
  return pending
}

async function migrateSchema(url: string): Promise<Migrate> {
  const { migrate, plannedMigrations } = await import('../../db/postgres/migrate.ts')
  return ({ name, postgres }, plan) =>
    withDatabaseFailures(plan ? plannedMigrations(url, name, postgres) : migrate(url, name, postgres))
}
