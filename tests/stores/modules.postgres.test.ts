import { afterAll, describe } from 'bun:test'
import { openModulesStore } from '../../db/modules/store.ts'
import { startPostgres } from '../support/postgres.ts'
import { modulesStoreSuite } from './modules-suite.ts'

const server = await startPostgres()
afterAll(() => server.stop())

describe('the modules store on PostgreSQL', () => {
  modulesStoreSuite(async () => openModulesStore({ dataDir: '', databaseUrl: await server.newDatabase() }))
})
