import { afterAll, describe } from 'bun:test'
import { openAuthStore } from '../../db/auth/store.ts'
import { startPostgres } from '../support/postgres.ts'
import { authStoreSuite } from './auth-suite.ts'
import { webhookStoreSuite } from './webhooks-suite.ts'

const server = await startPostgres()
afterAll(() => server.stop())

describe('the auth store on PostgreSQL', () => {
  const open = async () => openAuthStore({ dataDir: '', databaseUrl: await server.newDatabase() })
  authStoreSuite(open)
  describe('events and webhooks', () => webhookStoreSuite(open))
})
