import { createUser, registerUser, type System, startSystem, type TestUser, type Way } from '../support/system.ts'
import { type Served, servedOperations } from './scene.ts'
import { World } from './world.ts'

/** A running system, what it keeps and serves, and those who own nothing of what a request is about. */
export interface Stage {
  system: System
  world: World
  operations: Map<string, Served>
  others: { other: TestUser; admin: TestUser }
  close(): Promise<void>
}

export async function openStage(way: Way): Promise<Stage> {
  const system = await startSystem(way, { RATE_LIMIT: 'off' })
  const world = new World(system)
  return {
    system,
    world,
    operations: await servedOperations(system),
    others: { other: await registerUser(system), admin: await createUser(system, { roles: ['USER', 'ADMIN'] }) },
    async close() {
      world.close()
      await system.stop()
    },
  }
}
