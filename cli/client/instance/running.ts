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
    const file = readRunFile(service, dataDir)
    if (!file || typeof file.url !== 'string' || !Number.isInteger(file.pid) || file.pid < 1) return []
    return [{ ...file, service, process: processOf(file) }]
  })
}
