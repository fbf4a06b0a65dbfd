import { existsSync } from 'node:fs'
import { type Drift, drifts, InspectedDatabase } from '../../../db/sqlite/inspect/index.ts'
import { mailTexts } from '../../../services/auth/mail/texts/texts.ts'
import { databases } from '../../../services/databases.ts'
import { type Config, ConfigError, readConfig } from '../../../services/kit/process/config.ts'
import { SERVICES, SERVICES_WITH_DATABASE, type ServiceName } from '../../../services/registry.ts'
import { probe } from '../../client/instance/probe.ts'
import { runningServices } from '../../client/instance/running.ts'
import {
  databaseUrlOf,
  dataDirOf,
  type Environment,
  OPTIONAL_SECRETS,
  SECRETS,
  valuesOf,
  withPlannedSecrets,
  withStoredSecrets,
} from '../../client/settings.ts'
import { dataInFile } from '../../runner/stored-data.ts'
import type { DoctorContext } from './check.ts'

/** Creates the context of the checks; `close` closes its databases. */
export function createContext(env: Environment, debug: boolean): { context: DoctorContext; close(): void } {
  const dataDir = dataDirOf(env)
  const databaseUrl = databaseUrlOf(env)
  const { stored, unreadable } = storedSecrets(env)
  const { config, faults } = readSettings(withPlannedSecrets(env, stored))
  const files = databases(dataDir)
  const opened = new Map<string, InspectedDatabase>()
  let services: ReturnType<DoctorContext['services']> | undefined
  const fileOf = (name: string) => {
    const file = files.find((candidate) => candidate.name === name)
    if (!file) throw new Error(`There is no database ${name}`)
    return file
  }
  const openFile = (name: string) => {
    const openedBefore = opened.get(name)
    if (openedBefore) return openedBefore
    const database = InspectedDatabase.open(fileOf(name))
    opened.set(name, database)
    return database
  }
  const context: DoctorContext = {
    env,
    dataDir,
    databaseUrl,
    now: Date.now(),
    config,
    settingsErrors: [...unreadable, ...faults],
    secrets: Object.fromEntries([...SECRETS, ...OPTIONAL_SECRETS].map((name) => [name, valuesOf(stored, name)])),
    services: () => {
      services ??= probeAll(dataDir, debug)
      return services
    },
    files,
    has: existsSync,
    openFile,
    async open(name) {
      if (databaseUrl === undefined) return dataInFile(openFile(name))
      const { InspectedSchema } = await import('../../../db/postgres/inspect/data.ts')
      return new InspectedSchema(databaseUrl, fileOf(name))
    },
    async drifts() {
      if (databaseUrl === undefined) return firstOf(drifts(openFile('users'), openFile('auth')))
      const { driftsIn } = await import('../../../db/postgres/inspect/data.ts')
      return driftsIn(databaseUrl)
    },
  }
  const close = () => {
    for (const database of opened.values()) database.close()
  }
  return { context, close }
}

/** Maximum number of differences to collect. */
const DRIFTS_MAX = 10_000

function firstOf(all: Iterable<Drift>): Drift[] {
  const collected: Drift[] = []
  for (const drift of all) if (collected.push(drift) === DRIFTS_MAX) break
  return collected
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
    const config = readConfig(env, SERVICES)
    mailTexts(config)
    return { config, faults: [] }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { config: undefined, faults: error.faults }
  }
}

async function probeAll(dataDir: string, debug: boolean) {
  return Promise.all(
    runningServices(dataDir).map(async (running) => {
      if (!running.process) return { running, health: undefined }
      const needed = SERVICES_WITH_DATABASE.includes(running.service) ? '/health/db' : '/health/ready'
      const [health, part] = await Promise.all(['/health', needed].map((path) => probe(running.url + path, debug)))
      return { running, health: health?.status === 200 && part?.status !== 200 ? part : health }
    }),
  )
}
