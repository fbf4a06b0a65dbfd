import type { PostgresMigration } from '../migrate.ts'
import modules from './modules/0001_modules.sql' with { type: 'text' }
import nodes from './modules/0002_nodes.sql' with { type: 'text' }

/** The migrations, in the order in which they are applied. They are part of the compiled tool. */
export const modulesMigrations: readonly PostgresMigration[] = [
  { name: '0001_modules', sql: modules },
  { name: '0002_nodes', sql: nodes },
]
