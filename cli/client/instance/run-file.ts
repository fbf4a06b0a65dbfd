import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ServiceName } from '../../../services/registry.ts'

/** The file in which a running service registers itself. */
export interface RunFile {
  service: string
  url: string
  pid: number
  started_at: string
  /** Start time of the process in clock ticks since boot, if the system provides it. */
  process_start?: number
}

/** Reads a service's file; undefined if it does not run on this data directory. */
export function readRunFile(service: ServiceName, dataDir: string): RunFile | undefined {
  try {
    return JSON.parse(readFileSync(join(dataDir, 'run', `${service}.json`), 'utf8')) as RunFile
  } catch {
    return undefined
  }
}
