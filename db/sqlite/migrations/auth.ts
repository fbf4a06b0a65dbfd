import auth from './auth/0001_auth.sql' with { type: 'text' }
import auditChain from './auth/0002_audit_chain.sql' with { type: 'text' }
import mailRequests from './auth/0003_mail_requests.sql' with { type: 'text' }
import events from './auth/0004_events.sql' with { type: 'text' }
import mails from './auth/0005_mails.sql' with { type: 'text' }
import accountSearch from './auth/0006_account_search.sql' with { type: 'text' }
import profile from './auth/0007_profile.sql' with { type: 'text' }
import eventsInStatements from './auth/0008_events_in_statements.sql' with { type: 'text' }
import challenges from './auth/0009_challenges.sql' with { type: 'text' }
import factors from './auth/0010_factors.sql' with { type: 'text' }
import clients from './auth/0011_clients.sql' with { type: 'text' }
import grants from './auth/0012_grants.sql' with { type: 'text' }
import auditRetention from './auth/0013_audit_retention.sql' with { type: 'text' }
import erasures from './auth/0014_erasures.sql' with { type: 'text' }
import { chainAudit } from './chain-audit.ts'
import { foldAccounts } from './fold-rows.ts'
import type { Migration } from './migration.ts'

export const AUDIT_CHAIN = '0002_audit_chain'
export const EVENTS = '0004_events'
export const MAILS = '0005_mails'
export const FACTORS = '0010_factors'
export const CLIENTS = '0011_clients'
export const GRANTS = '0012_grants'
export const ACCOUNT_SEARCH = '0006_account_search'

/** The migrations, in the order in which they are applied. They are part of the compiled tool. */
export const authMigrations: readonly Migration[] = [
  { name: '0001_auth', sql: auth },
  { name: AUDIT_CHAIN, sql: auditChain, finish: chainAudit },
  { name: '0003_mail_requests', sql: mailRequests },
  { name: EVENTS, sql: events },
  { name: MAILS, sql: mails },
  { name: ACCOUNT_SEARCH, sql: accountSearch, finish: foldAccounts },
  { name: '0007_profile', sql: profile },
  { name: '0008_events_in_statements', sql: eventsInStatements },
  { name: '0009_challenges', sql: challenges },
  { name: '0010_factors', sql: factors },
  { name: CLIENTS, sql: clients },
  { name: GRANTS, sql: grants },
  { name: '0013_audit_retention', sql: auditRetention },
  { name: '0014_erasures', sql: erasures },
]
