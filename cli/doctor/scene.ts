import { existsSync } from 'node:fs'
import { databases } from '../../db/databases.ts'
import { Examined } from '../../db/examine.ts'
import { type Config, ConfigError, readConfig } from '../../services/kit/config.ts'
import { dataDirOf, type Environment, knownEnvironment } from '../settings.ts'
import { ask } from './answer.ts'
import type { Scene } from './check.ts'
import { instances } from './instance.ts'

const SECRETS = ['INTERNAL_API_KEY', 'OPERATOR_API_KEY', 'CH202_SECRET'] as const

/** @returns the scene, and what lets go of its databases */
export function sceneOf(env: Environment, debug: boolean): { scene: Scene; close(): void } {
  const dataDir = dataDirOf(env)
  const { known, unreadable } = withKept(env)
  const { config, faults } = settingsOf(known)
  const files = databases(dataDir)
  const examined = new Map<string, Examined>()
  let services: ReturnType<Scene['services']> | undefined
  const scene: Scene = {
    env,
    dataDir,
    now: Date.now(),
    config,
    faults: [...unreadable, ...faults],
    secrets: Object.fromEntries(SECRETS.map((name) => [name, listIn(known[name])])),
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
      const opened = Examined.open(file)
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

/** Secrets that are missing are no fault where the first start makes them. */
function settingsOf(env: Environment): { config: Config | undefined; faults: readonly string[] } {
  const made = env.CH202_ENV?.trim() === 'production' ? {} : Object.fromEntries(SECRETS.map((name) => [name, name]))
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value?.trim()))
  try {
    return { config: readConfig({ ...made, ...given }), faults: [] }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { config: undefined, faults: error.faults }
  }
}

function listIn(values: string | undefined): string[] {
  return (values ?? '')
    .split(',')
    .map((value) => value.trim())
    .filter(Boolean)
}

async function askAll(dataDir: string, debug: boolean) {
  return Promise.all(
    instances(dataDir).map(async (instance) => {
      if (!instance.process) return { instance, health: undefined }
      const [health, database] = await Promise.all(
        ['/health', '/health/db'].map((path) => ask(instance.url + path, debug)),
      )
      return { instance, health: health?.status === 200 && database?.status !== 200 ? database : health }
    }),
  )
}
