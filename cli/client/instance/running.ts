import { PLACES, type Place } from '../connection.ts'
import { type Note, noteOf } from './note.ts'
import { type Process, processOf } from './process.ts'

/** A service that wrote down that it runs on a data directory. */
export interface RunningService extends Note {
  service: Place
  /** Undefined: that process is gone. */
  process: Process | undefined
}

/** What wrote down that it runs on a data directory, and has not taken that back. */
export function runningServices(dataDir: string): RunningService[] {
  return PLACES.flatMap((service) => {
    const note = noteOf(service, dataDir)
    if (!note || typeof note.url !== 'string' || !Number.isInteger(note.pid) || note.pid < 1) return []
    return [{ ...note, service, process: processOf(note) }]
  })
}
