import { drizzle } from 'drizzle-orm/bun-sqlite'
import type { AuthStore } from '../../services/auth/store/index.ts'
import { limitStore } from '../limits.ts'
import { type DatabaseConfig, openStore } from '../open.ts'
import type { Sqlite } from '../sqlite/engine.ts'
import { authMigrations } from '../sqlite/migrations/auth.ts'
import { accountStore } from './accounts.ts'
import { auditStore } from './audit.ts'
import { deliveryStore } from './deliveries.ts'
import { eventStore } from './events.ts'
import { factStore } from './facts.ts'
import { failureStore } from './failures.ts'
import { keyStore } from './keys.ts'
import { mailRequestStore } from './mail-requests.ts'
import { resetStore } from './resets.ts'
import { feedStore } from './revocations.ts'
import { sessionStore } from './sessions.ts'
import { webhookStore } from './webhooks.ts'

interface AuthStoreOptions {
  /** Whether every event also goes to a message broker. */
  amqp: boolean
}

/** Opens the store of the auth service. @throws DatabaseError */
export function openAuthStore(config: DatabaseConfig, options: AuthStoreOptions = { amqp: false }): Promise<AuthStore> {
  return openStore(config, { name: 'auth', migrations: authMigrations }, (sqlite) => authStore(sqlite, options))
}

async function authStore(sqlite: Sqlite, { amqp }: AuthStoreOptions): Promise<AuthStore> {
  const db = drizzle(sqlite.raw)
  const facts = factStore(sqlite)
  const audit = auditStore(sqlite, db)
  const feed = await feedStore(sqlite, db, facts)
  const events = await eventStore(sqlite, { facts, feed, amqp })
  const sessions = sessionStore(sqlite, db, { audit, events, feed, facts })
  return {
    ...facts,
    ...audit,
    ...feed,
    ...sessions,
    ...accountStore(sqlite, db, { audit, feed, sessions }),
    ...keyStore(sqlite, db, { audit, feed }),
    ...resetStore(sqlite, db, audit),
    ...mailRequestStore(sqlite, db),
    ...events,
    ...webhookStore(sqlite, db, { audit, events }),
    ...deliveryStore(sqlite, db, { audit, events }),
    ...failureStore(sqlite, db, audit),
    ...limitStore(sqlite),
    close: async () => sqlite.close(),
  }
}
