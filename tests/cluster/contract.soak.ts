import { afterAll } from 'bun:test'
import { join } from 'node:path'
import { runFiles } from '../support/on-postgres.ts'
import { replaceInProcess } from '../support/system.ts'
import { useDatabases } from '../support/system-database.ts'
import { cluster } from './cluster.ts'

// Runs the contract over three nodes of each service, behind balancers that send each request to another node.
useDatabases('postgres')
replaceInProcess(cluster)
afterAll(() => {
  replaceInProcess(undefined)
  useDatabases('sqlite')
})
runFiles(join(import.meta.dir, '../contract'), 'over a cluster', {
  'found-by-attack.slow.test.ts': 'sets the clock of a process',
  'idle.slow.test.ts': 'its subject are connections to a process, which a balancer ends',
  'issuer.slow.test.ts': 'starts processes, whose settings are the subject',
  'on-postgres.slow.test.ts': 'is another run of the contract',
  'search-merging.slow.test.ts': 'the merging of the index of searches is that of SQLite',
  'short-lives.test.ts': 'sets the clock of a process',
  'stored-issuer.test.ts': 'sets the address of a process',
  'time.test.ts': 'sets the clock of a process',
  'tokens.test.ts': 'sets the clock of a process',
})
