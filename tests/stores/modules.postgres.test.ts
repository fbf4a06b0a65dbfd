import { describe } from 'bun:test'
import { openModulesStore } from '../../db/modules/store.ts'
import { sharedPostgres } from '../support/shared-postgres.ts'
import { modulesStoreSuite } from './modules-suite.ts'

describe('the modules store on PostgreSQL', () => {
  const open = async () => {
    const { newDatabase } = await sharedPostgres()
    return openModulesStore({ dataDir: '', databaseUrl: await newDatabase() })
  }
  modulesStoreSuite(open, { runs: 20 })
})
