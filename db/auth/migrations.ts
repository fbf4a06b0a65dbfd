import type { Migration } from '../sqlite/engine.ts'
import { foldAccounts } from './account-search.ts'
import { chainAudit } from './audit-chain.ts'
import auth from './migrations/0001_auth.sql' with { type: 'text' }
import auditChain from './migrations/0002_audit_chain.sql' with { type: 'text' }
import mailRequests from './migrations/0003_mail_requests.sql' with { type: 'text' }
import events from './migrations/0004_events.sql' with { type: 'text' }
import mails from './migrations/0005_mails.sql' with { type: 'text' }
import accountSearch from './migrations/0006_account_search.sql' with { type: 'text' }

export const AUDIT_CHAIN = '0002_audit_chain'
export const EVENTS = '0004_events'
export const MAILS = '0005_mails'
export const ACCOUNT_SEARCH = '0006_account_search'

/** In the order in which they are applied. Part of the program, so that the compiled tool has them too. */
export const authMigrations: readonly Migration[] = [
  { name: '0001_auth', sql: auth },
  { name: AUDIT_CHAIN, sql: auditChain, finish: chainAudit },
  { name: '0003_mail_requests', sql: mailRequests },
  { name: EVENTS, sql: events },
  { name: MAILS, sql: mails },
  { name: ACCOUNT_SEARCH, sql: accountSearch, finish: foldAccounts },
]
