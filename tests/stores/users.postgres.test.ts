import { afterAll, describe } from 'bun:test'
import { openUsersStore } from '../../db/users/store.ts'
import { startPostgres } from '../support/postgres.ts'
import { usersStoreSuite } from './users-suite.ts'

const server = await startPostgres()
afterAll(() => server.stop())

describe('the users store on PostgreSQL', () => {
  usersStoreSuite(async () => openUsersStore({ dataDir: '', databaseUrl: await server.newDatabase() }), {
    merges: false,
  })
})
