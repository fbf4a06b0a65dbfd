import { SERVICE_NAMES, type ServiceName } from '../../../services/registry.ts'
import { type Process, processOf } from './process.ts'
import { type RunFile, readRunFile } from './run-file.ts'

/** A service that is registered in a data directory. */
export interface RunningService extends RunFile {
  service: ServiceName
  /** Undefined if the process is gone. */
  process: Process | undefined
}

/** The services registered in a data directory, including those that were killed. */
export function runningServices(dataDir: string): RunningService[] {
  return SERVICE_NAMES.flatMap((service) => {
    const note = readRunFile(service, dataDir)
    if (!note || typeof note.url !== 'string' || !Number.isInteger(note.pid) || note.pid < 1) return []
    return [{ ...note, service, process: processOf(note) }]
  })
}
