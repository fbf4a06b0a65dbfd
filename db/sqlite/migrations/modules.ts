import type { Migration } from './migration.ts'
import modules from './modules/0001_modules.sql' with { type: 'text' }
import feed from './modules/0002_feed.sql' with { type: 'text' }

/** The migrations, in the order in which they are applied. They are part of the compiled tool. */
export const modulesMigrations: readonly Migration[] = [
  { name: '0001_modules', sql: modules },
  { name: '0002_feed', sql: feed },
]
