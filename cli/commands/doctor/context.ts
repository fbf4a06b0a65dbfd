import { existsSync } from 'node:fs'
import { InspectedDatabase } from '../../../db/sqlite/inspect/database.ts'
import { databases } from '../../../services/databases.ts'
import { type Config, ConfigError, readConfig } from '../../../services/kit/process/config.ts'
import { SERVICES, type ServiceName } from '../../../services/registry.ts'
import { probe } from '../../client/instance/probe.ts'
import { runningServices } from '../../client/instance/running.ts'
import {
  dataDirOf,
  type Environment,
  SECRETS,
  valuesOf,
  withPlannedSecrets,
  withStoredSecrets,
} from '../../client/settings.ts'
import type { DoctorContext } from './check.ts'

/** Creates the context of the checks; `close` closes its databases. */
export function createContext(env: Environment, debug: boolean): { context: DoctorContext; close(): void } {
  const dataDir = dataDirOf(env)
  const { stored, unreadable } = storedSecrets(env)
  const { config, faults } = readSettings(withPlannedSecrets(env, stored))
  const files = databases(dataDir)
  const opened = new Map<string, InspectedDatabase>()
  let services: ReturnType<DoctorContext['services']> | undefined
  const context: DoctorContext = {
    env,
    dataDir,
    now: Date.now(),
    config,
    settingsErrors: [...unreadable, ...faults],
    secrets: Object.fromEntries(SECRETS.map((name) => [name, valuesOf(stored, name)])),
    services: () => {
      services ??= probeAll(dataDir, debug)
      return services
    },
    files,
    has: existsSync,
    open(name) {
      const openedBefore = opened.get(name)
      if (openedBefore) return openedBefore
      const file = files.find((candidate) => candidate.name === name)
      if (!file) throw new Error(`There is no database ${name}`)
      const database = InspectedDatabase.open(file)
      opened.set(name, database)
      return database
    },
  }
  const close = () => {
    for (const database of opened.values()) database.close()
  }
  return { context, close }
}

function storedSecrets(env: Environment): { stored: Environment; unreadable: string[] } {
  try {
    return { stored: withStoredSecrets(env), unreadable: [] }
  } catch (error) {
    return { stored: env, unreadable: [`secrets.env cannot be read: ${(error as NodeJS.ErrnoException).code}`] }
  }
}

function readSettings(env: Environment): { config: Config<ServiceName> | undefined; faults: readonly string[] } {
  try {
    return { config: readConfig(env, SERVICES), faults: [] }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { config: undefined, faults: error.faults }
  }
}

async function probeAll(dataDir: string, debug: boolean) {
  return Promise.all(
    runningServices(dataDir).map(async (running) => {
      if (!running.process) return { running, health: undefined }
      const [health, database] = await Promise.all(
        ['/health', '/health/db'].map((path) => probe(running.url + path, debug)),
      )
      return { running, health: health?.status === 200 && database?.status !== 200 ? database : health }
    }),
  )
}
