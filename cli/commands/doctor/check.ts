import type { DatabaseFile } from '../../../db/sqlite/databases.ts'
import type { InspectedDatabase } from '../../../db/sqlite/inspect/index.ts'
import type { Config } from '../../../services/kit/process/config.ts'
import type { Answer } from '../../client/instance/answer.ts'
import type { RunningService } from '../../client/instance/running.ts'
import type { Environment } from '../../client/settings.ts'

/** What was found. What is skipped says why; what is not well names what mends it. */
export type Finding =
  | { status: 'ok' | 'skipped'; message: string; suggestion?: string }
  | { status: 'warning' | 'failed'; message: string; suggestion: string }

/** One thing that is looked at. */
export interface Check {
  /** Stable: scripts go by it. */
  id: string
  /** What it looks at, as the documentation has it. */
  looksAt: string
  look(scene: Scene): Finding | Promise<Finding>
}

/** What the checks look at; what several of them need is found out once. */
export interface Scene {
  env: Environment
  dataDir: string
  /** Milliseconds since the epoch. */
  now: number
  /** The settings with the secrets that are there; undefined where they are not valid. */
  config: Config | undefined
  /** What is wrong with them. */
  faults: readonly string[]
  /** By the name of the setting; none where it is not known here. */
  secrets: Readonly<Record<string, readonly string[]>>
  /** What wrote down that it runs here, and what it answers; no answer where the process is gone. */
  services(): Promise<{ running: RunningService; health: Answer | undefined }[]>
  /** The databases, where they should be. */
  files: readonly DatabaseFile[]
  has(path: string): boolean
  /** @throws what can't be opened says why */
  open(name: DatabaseFile['name']): InspectedDatabase
}

export function ok(message: string): Finding {
  return { status: 'ok', message }
}

export function skipped(message: string): Finding {
  return { status: 'skipped', message }
}

export function warning(message: string, suggestion: string): Finding {
  return { status: 'warning', message, suggestion }
}

export function failed(message: string, suggestion: string): Finding {
  return { status: 'failed', message, suggestion }
}
