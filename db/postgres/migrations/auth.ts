import type { PostgresMigration } from '../migrate.ts'
import auth from './auth/0001_auth.sql' with { type: 'text' }
import nodes from './auth/0002_nodes.sql' with { type: 'text' }
import challenges from './auth/0003_challenges.sql' with { type: 'text' }
import factors from './auth/0004_factors.sql' with { type: 'text' }
import unchained from './auth/0005_unchained.sql' with { type: 'text' }
import clients from './auth/0006_clients.sql' with { type: 'text' }
import grants from './auth/0007_grants.sql' with { type: 'text' }
import erasures from './auth/0008_erasures.sql' with { type: 'text' }

/** The migrations, in the order in which they are applied. They are part of the compiled tool. */
export const authMigrations: readonly PostgresMigration[] = [
  { name: '0001_auth', sql: auth },
  { name: '0002_nodes', sql: nodes },
  { name: '0003_challenges', sql: challenges },
  { name: '0004_factors', sql: factors },
  { name: '0005_unchained', sql: unchained },
  { name: '0006_clients', sql: clients },
  { name: '0007_grants', sql: grants },
  { name: '0008_erasures', sql: erasures },
]
