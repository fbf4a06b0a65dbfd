import { join } from 'node:path'
import { runFiles } from '../support/postgres/on-postgres.ts'
import { useCluster } from './replacement.ts'

// Runs the clients of the five documents over three nodes of each service, behind balancers.
useCluster()
runFiles(join(import.meta.dir, '../documents'), 'over a cluster', {
  'documents.test.ts': 'compares the tests with a page and starts nothing',
})
