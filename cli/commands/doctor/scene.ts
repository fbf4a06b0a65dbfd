import { existsSync } from 'node:fs'
import { databases } from '../../../db/sqlite/databases.ts'
import { InspectedDatabase } from '../../../db/sqlite/inspect/index.ts'
import { type Config, ConfigError, readConfig } from '../../../services/kit/process/config.ts'
import { ask } from '../../client/instance/answer.ts'
import { runningServices } from '../../client/instance/running.ts'
import {
  dataDirOf,
  type Environment,
  knownEnvironment,
  SECRETS,
  valuesOf,
  withSecretsToBe,
} from '../../client/settings.ts'
import type { Scene } from './check.ts'

/** @returns the scene, and what lets go of its databases */
export function sceneOf(env: Environment, debug: boolean): { scene: Scene; close(): void } {
  const dataDir = dataDirOf(env)
  const { known, unreadable } = withKept(env)
  const { config, faults } = settingsOf(withSecretsToBe(env, known))
  const files = databases(dataDir)
  const examined = new Map<string, InspectedDatabase>()
  let services: ReturnType<Scene['services']> | undefined
  const scene: Scene = {
    env,
    dataDir,
    now: Date.now(),
    config,
    faults: [...unreadable, ...faults],
    secrets: Object.fromEntries(SECRETS.map((name) => [name, valuesOf(known, name)])),
    services: () => {
      services ??= askAll(dataDir, debug)
      return services
    },
    files,
    has: existsSync,
    open(name) {
      const there = examined.get(name)
      if (there) return there
      const file = files.find((one) => one.name === name)
      if (!file) throw new Error(`There is no database ${name}`)
      const opened = InspectedDatabase.open(file)
      examined.set(name, opened)
      return opened
    },
  }
  const close = () => {
    for (const one of examined.values()) one.close()
  }
  return { scene, close }
}

function withKept(env: Environment): { known: Environment; unreadable: string[] } {
  try {
    return { known: knownEnvironment(env), unreadable: [] }
  } catch (error) {
    return { known: env, unreadable: [`secrets.env can't be read: ${(error as NodeJS.ErrnoException).code}`] }
  }
}

function settingsOf(env: Environment): { config: Config | undefined; faults: readonly string[] } {
  try {
    return { config: readConfig(env), faults: [] }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { config: undefined, faults: error.faults }
  }
}

async function askAll(dataDir: string, debug: boolean) {
  return Promise.all(
    runningServices(dataDir).map(async (running) => {
      if (!running.process) return { running, health: undefined }
      const [health, database] = await Promise.all(
        ['/health', '/health/db'].map((path) => ask(running.url + path, debug)),
      )
      return { running, health: health?.status === 200 && database?.status !== 200 ? database : health }
    }),
  )
}
