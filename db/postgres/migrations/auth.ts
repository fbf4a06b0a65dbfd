import type { PostgresMigration } from '../migrate.ts'
import auth from './auth/0001_auth.sql' with { type: 'text' }

/** The migrations, in the order in which they are applied. They are part of the compiled tool. */
export const authMigrations: readonly PostgresMigration[] = [{ name: '0001_auth', sql: auth }]
