import { describe } from 'bun:test'
import { openModulesStore } from '../../db/modules/store.ts'
import { newDatabaseConfig, postgresTraits } from '../support/postgres/shared.ts'
import { WHOLE } from '../support/whole.ts'
import { modulesStoreSuite } from './modules-suite.ts'

describe('the modules store on PostgreSQL', () => {
  // A database is created for each run.
  const runs = postgresTraits().has('slow') ? 2 : WHOLE ? 20 : 8
  modulesStoreSuite(async () => openModulesStore(await newDatabaseConfig()), { runs })
})
