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
import { auditStore } from './audit/audit.ts'
import { challengeStore } from './challenges.ts'
import { erasureStore } from './erasure/erasures.ts'
import { factorStore } from './factors/factors.ts'
import { factStore } from './feed/facts.ts'
import { feedStore } from './feed/revocations.ts'
import { figureStore } from './figures.ts'
import { keyStore } from './keys.ts'
import { failureStore } from './login/failures.ts'
import { refusedLoginStore } from './login/refused-logins.ts'
import { finishedMailStore } from './mail/finished-mails.ts'
import { mailRequestStore } from './mail/mail-requests.ts'
import { clientStore } from './oauth/clients.ts'
import { grantStore } from './oauth/grants.ts'
import { clientLogoutStore } from './sessions/client-logouts.ts'
import { sessionStore } from './sessions/sessions.ts'
import { deliveryStore } from './webhooks/deliveries.ts'
import { eventStore } from './webhooks/events.ts'
import { webhookStore } from './webhooks/webhooks.ts'

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
