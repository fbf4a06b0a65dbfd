import { auditChecks } from './audit.ts'
import { backupChecks } from './backups.ts'
import type { Check } from './check.ts'
import { clientsChecks } from './clients.ts'
import { clockChecks } from './clock.ts'
import { databasesChecks } from './databases.ts'
import { factorsChecks } from './factors.ts'
import { filesChecks } from './files.ts'
import { nodesChecks } from './nodes.ts'
import { pagesChecks } from './pages.ts'
import { portsChecks } from './ports.ts'
import { postgresChecks } from './postgres.ts'
import { propagationChecks } from './propagation.ts'
import { secretsChecks } from './secrets.ts'
import { settingsChecks } from './settings.ts'
import { upkeepChecks } from './upkeep.ts'

/** All checks, in the order of the report. */
export const CHECKS: readonly Check[] = [
  ...settingsChecks,
  ...secretsChecks,
  ...filesChecks,
  ...portsChecks,
  ...pagesChecks,
  ...factorsChecks,
  ...clientsChecks,
  ...clockChecks,
  ...postgresChecks,
  ...nodesChecks,
  ...databasesChecks,
  ...propagationChecks,
  ...auditChecks,
  ...backupChecks,
  ...upkeepChecks,
]
