import { EXIT, usage } from '../exit.ts'
import { type Output, write } from '../io.ts'
import { settingsToServe } from '../settings.ts'
import { onStop } from '../signals.ts'

/** Serves some or all services in this process until SIGINT or SIGTERM. */
export async function serveCommand(names: string[]): Promise<void> {
  const { SERVICES, serve } = await import('../../services/serve.ts')
  const wanted = SERVICES.filter((name) => names.length === 0 || names.includes(name))
  const unknown = names.find((name) => !SERVICES.some((known) => known === name))
  if (unknown !== undefined) throw usage(`There is no service ${unknown}: there are ${SERVICES.join(', ')}`)

  const stopped = Promise.withResolvers<void>()
  onStop(stopped.resolve, () => process.exit(EXIT.interrupted))

  const served = await serve(settingsToServe(process.env), wanted)
  write(`${served.services.join(', ')} ready at ${served.url}`)
  await stopped.promise
  await served.stop()
  process.exitCode = EXIT.done
  // What a library still holds open must not keep the process.
  setTimeout(() => process.exit(), 200).unref()
}

/** Brings every database up to date, or says what that would do. */
export async function migrateCommand({ plan }: { plan?: boolean }, output: Output): Promise<void> {
  const [{ openDatabase, plannedMigrations }, { databases }, { dataDirOf }] = await Promise.all([
    import('../../db/sqlite.ts'),
    import('../../db/databases.ts'),
    import('../settings.ts'),
  ])
  const migrated = databases(dataDirOf(process.env)).map(({ name, path, migrations }) => {
    const pending = plannedMigrations(path, migrations)
    if (!plan) openDatabase(path, name, migrations).close()
    return { database: name, migrations: pending, changed: !plan && pending.length > 0 }
  })
  if (output === 'json') {
    write(JSON.stringify(migrated))
    return
  }
  for (const done of migrated) {
    if (output === 'jsonl') write(JSON.stringify(done))
    else {
      const names = done.migrations.join(', ')
      write(`${done.database}\t${names === '' ? 'up to date' : `${plan ? 'to apply' : 'applied'}: ${names}`}`)
    }
  }
}
