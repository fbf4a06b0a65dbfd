import type { DatabaseFile } from '../../../db/sqlite/database-file.ts'
import type { Drift, InspectedDatabase } from '../../../db/sqlite/inspect/index.ts'
import type { Config } from '../../../services/kit/process/config.ts'
import type { ServiceName } from '../../../services/registry.ts'
import type { ProbeResult } from '../../client/instance/probe.ts'
import type { RunningService } from '../../client/instance/running.ts'
import type { Environment } from '../../client/settings.ts'
import type { StoredData } from '../../runner/stored-data.ts'
import { counted } from '../../terminal/terminal.ts'

/** Result of a check. A skipped check says why; a warning or failure names the command or setting that fixes it. */
export type Finding =
  | { status: 'ok' | 'skipped'; message: string; suggestion?: string }
  | { status: 'warning' | 'failed'; message: string; suggestion: string }

/** One check of the doctor. */
export interface Check {
  /** Stable, because scripts use it. */
  id: string
  /** The condition that it checks, as in the documentation. */
  describes: string
  /** The kind of storage that the check applies to; absent: both. */
  only?: 'files' | 'postgres'
  run(context: DoctorContext): Finding | Promise<Finding>
}

/** Input of the checks. Values that several checks need are computed once. */
export interface DoctorContext {
  env: Environment
  dataDir: string
  /** The PostgreSQL database that takes the place of the files. */
  databaseUrl: string | undefined
  /** Milliseconds since the epoch. */
  now: number
  /** The settings with the stored secrets; undefined if they are not valid. */
  config: Config<ServiceName> | undefined
  /** Errors in the settings. */
  settingsErrors: readonly string[]
  /** Values of the secrets by setting; an empty list if unknown on this machine. */
  secrets: Readonly<Record<string, readonly string[]>>
  /** Services registered in `run/`, with the response to a probe; `health` is undefined if the process is gone. */
  services(): Promise<{ running: RunningService; health: ProbeResult | undefined }[]>
  /** The expected database files. */
  files: readonly DatabaseFile[]
  has(path: string): boolean
  /** Opens a file read-only. @throws InspectionUnavailable, or the error of SQLite */
  openFile(name: DatabaseFile['name']): InspectedDatabase
  /** Opens the data of a service read-only. @throws as `openFile`; its methods throw PostgresFailure */
  open(name: DatabaseFile['name']): Promise<StoredData>
  /** Compares users with the password cache of auth. @throws as `open` */
  drifts(): Promise<Drift[]>
}

/** Why a check of the PostgreSQL database is skipped while another reports its failure. */
export const UNREACHABLE = 'The database cannot be read: see database.reachable'

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

/** @param age milliseconds; negative if the clock was set back */
export function daysOf(age: number): string {
  return counted(Math.max(0, Math.floor(age / 86_400_000)), 'day')
}
