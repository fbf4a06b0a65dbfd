import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Place } from '../connection.ts'

/** What a running service wrote down about itself. */
export interface Note {
  service: string
  url: string
  pid: number
  started_at: string
  /** When the system began the process, in its ticks, where it tells that. */
  process_start?: number
}

/** Undefined: it does not run, or not from this data directory. */
export function noteOf(place: Place, dataDir: string): Note | undefined {
  try {
    return JSON.parse(readFileSync(join(dataDir, 'run', `${place}.json`), 'utf8')) as Note
  } catch {
    return undefined
  }
}
