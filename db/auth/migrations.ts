import type { Migration } from '../sqlite.ts'
import auth from './migrations/0001_auth.sql' with { type: 'text' }

/** In the order in which they are applied. Part of the program, so that the compiled tool has them too. */
export const authMigrations: readonly Migration[] = [{ name: '0001_auth', sql: auth }]
