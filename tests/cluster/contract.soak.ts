import { join } from 'node:path'
import { runFiles } from '../support/postgres/on-postgres.ts'
import { useCluster } from './replacement.ts'

// Runs the contract over three nodes of each service, behind balancers that send each request to another node.
useCluster()
runFiles(join(import.meta.dir, '../contract'), 'over a cluster', {
  'idle.slow.test.ts': 'its subject are connections to a process, which a balancer ends',
  'issuer.slow.test.ts': 'starts processes, whose settings are the subject',
  'on-postgres.slow.test.ts': 'is another run of the contract',
  'search-merging.slow.test.ts': 'the merging of the index of searches is that of SQLite',
  'stored-issuer.test.ts': 'starts a second system on the database of the first',
  'time.test.ts': 'sets the timers of a process, and receives the mails in it',
  ...(process.env.CH202_TEST_BALANCER === 'caddy' && {
    'bad-input.test.ts': 'sends malformed requests, which Caddy refuses by itself',
    'raw-requests.test.ts': 'sends malformed requests, which Caddy refuses by itself',
  }),
  'webhooks.test.ts': 'sets the timers of a process; `deliveries.soak.ts` has webhooks over nodes',
})
