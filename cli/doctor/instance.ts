import { PLACES, type Place, running } from '../connection.ts'
import { ask } from './answer.ts'
import { type Note, type Process, processOf } from './process.ts'

/** A service that wrote down that it runs on a data directory. */
export interface Instance extends Note {
  service: Place
  /** Undefined: that process is gone. */
  process: Process | undefined
}

/** What wrote down that it runs on a data directory, and has not taken that back. */
export function instances(dataDir: string): Instance[] {
  return PLACES.flatMap((service) => {
    const note: Note | undefined = running(service, dataDir)
    if (!note || typeof note.url !== 'string' || !Number.isInteger(note.pid) || note.pid < 1) return []
    return [{ ...note, service, process: processOf(note) }]
  })
}

/** Whether what answers there is that service, alone or in one process with the others. */
export async function answers({ service, url }: Instance, debug = false): Promise<boolean> {
  const { body, status } = await ask(`${url}/health`, debug)
  return status === 200 && (body.service === service || body.service === 'ch202')
}
