import { createUser, registerUser, type TestUser } from '../support/actors.ts'
import type { Start } from '../support/running.ts'
import type { System } from '../support/system.ts'
import { Databases } from './databases.ts'
import { MAIL_SETTINGS } from './mailed-values.ts'
import { type Served, servedOperations } from './operations.ts'

/** A running system, its databases and operations, and users who own nothing that a request names. */
export interface Setup {
  system: System
  databases: Databases
  operations: Map<string, Served>
  others: { other: TestUser; admin: TestUser }
  close(): Promise<void>
}

export async function openSetup(start: Start): Promise<Setup> {
  const system = await start({ RATE_LIMIT: 'off', ...MAIL_SETTINGS })
  const databases = new Databases(system)
  return {
    system,
    databases,
    operations: await servedOperations(system),
    others: { other: await registerUser(system), admin: await createUser(system, { roles: ['USER', 'ADMIN'] }) },
    async close() {
      databases.close()
      await system.stop()
    },
  }
}
