import type { AuthStore } from '../../services/auth/store/index.ts'
import type { Engine } from '../engine.ts'
import { limitStore } from '../limits.ts'
import { nodeStore } from '../nodes.ts'
import { type DatabaseConfig, type DatabaseDefinition, openStore } from '../open.ts'
import { authMigrations as postgres } from '../postgres/migrations/auth.ts'
import * as schema from '../schema/auth.ts'
import * as attemptSchema from '../schema/login-attempts.ts'
import * as refusalSchema from '../schema/refused-logins.ts'
import * as unchainedSchema from '../schema/unchained-audit.ts'
import { authMigrations as sqlite } from '../sqlite/migrations/auth.ts'
import { accountStore } from './accounts.ts'
import { auditStore } from './audit.ts'
import { challengeStore } from './challenges.ts'
import { clientLogoutStore } from './client-logouts.ts'
import { clientStore } from './clients.ts'
import { deliveryStore } from './deliveries.ts'
import { erasureStore } from './erasures.ts'
import { eventStore } from './events.ts'
import { factorStore } from './factors.ts'
import { factStore } from './facts.ts'
import { failureStore } from './failures.ts'
import { figureStore } from './figures.ts'
import { finishedMailStore } from './finished-mails.ts'
import { grantStore } from './grants.ts'
import { keyStore } from './keys.ts'
import { mailRequestStore } from './mail-requests.ts'
import { refusedLoginStore } from './refused-logins.ts'
import { feedStore } from './revocations.ts'
import { sessionStore } from './sessions.ts'
import { webhookStore } from './webhooks.ts'

const DATABASE: DatabaseDefinition = {
  name: 'auth',
  schema: { ...schema, ...attemptSchema, ...refusalSchema, ...unchainedSchema },
  sqlite,
  postgres,
}

interface AuthStoreOptions {
  /** Whether every event also goes to a message broker. */
  amqp: boolean
}

/** Opens the store of the auth service. @throws DatabaseError */
export function openAuthStore(config: DatabaseConfig, options: AuthStoreOptions = { amqp: false }): Promise<AuthStore> {
  return openStore(config, DATABASE, (engine) => authStore(engine, options))
}

async function authStore(engine: Engine, { amqp }: AuthStoreOptions): Promise<AuthStore> {
  const facts = factStore(engine)
  const audit = auditStore(engine)
  const feed = await feedStore(engine, facts)
  const events = await eventStore(engine, { facts, feed, amqp })
  const logouts = clientLogoutStore(engine, { audit })
  const sessions = sessionStore(engine, { audit, events, feed, facts, logouts })
  const factors = factorStore(engine, { audit, events, facts })
  return {
    ...facts,
    ...audit,
    ...feed,
    ...sessions,
    ...accountStore(engine, { audit, factors, sessions }),
    ...factors,
    ...keyStore(engine, { audit, feed }),
    ...challengeStore(engine, { audit, events }),
    ...clientStore(engine, { audit, feed }),
    ...logouts,
    ...erasureStore(engine, { audit }),
    ...grantStore(engine, { audit, feed, logouts }),
    ...mailRequestStore(engine),
    ...finishedMailStore(engine, audit),
    ...events,
    ...webhookStore(engine, { audit, events }),
    ...deliveryStore(engine, { audit, events }),
    ...figureStore(engine),
    ...failureStore(engine, audit),
    ...refusedLoginStore(engine),
    ...limitStore(engine),
    ...nodeStore(engine),
    close: () => engine.close(),
  }
}
