import { dataDirOf } from '../client/settings.ts'
import { command, withTool } from '../tool/command.ts'

export function migrateCommand() {
  return command('migrate', 'Apply pending migrations to every database', ['ch202 migrate --plan', 'ch202 migrate'])
    .option('--plan', 'show pending migrations without applying them')
    .action(
      withTool(async ({ env, out }, { plan = false }: { plan?: boolean }) => {
        const [{ openDatabase }, { plannedMigrations }, { databases }] = await Promise.all([
          import('../../db/sqlite/open-database.ts'),
          import('../../db/sqlite/migrate.ts'),
          import('../../services/databases.ts'),
        ])
        const items = databases(dataDirOf(env)).map(({ name, path, migrations }) => {
          const pending = plannedMigrations(path, migrations)
          if (!plan) openDatabase(path, name, migrations).close()
          const state = pending.length === 0 ? 'up to date' : plan ? 'to apply' : 'applied'
          return { database: name, state, migrations: pending, changed: !plan && pending.length > 0 }
        })
        await out.list(items, ['database', 'state', 'migrations'])
      }),
    )
}
