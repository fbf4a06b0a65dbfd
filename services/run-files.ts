import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Writes `run/<service>.json` into the data directory, for each service of this process. The tool finds running
 * services by these files.
 * @returns a function that removes the files
 */
export function writeRunFiles(
  dataDir: string,
  names: readonly string[],
  { startedAt, url }: { startedAt: string; url: string },
): () => void {
  const directory = join(dataDir, 'run')
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const note = { url, pid: process.pid, started_at: startedAt, process_start: processStart() }
  for (const service of names)
    writeFileSync(join(directory, `${service}.json`), `${JSON.stringify({ service, ...note })}\n`, { mode: 0o600 })
  return () => {
    for (const name of names) rmSync(join(directory, `${name}.json`), { force: true })
  }
}

/** When the system started this process, in its own ticks. Distinguishes it from a later process with the same id. */
function processStart(): number | undefined {
  try {
    // The process name stands in brackets and may hold anything; after the last bracket come numbers (proc_pid_stat(5)).
    const stat = readFileSync('/proc/self/stat', 'latin1')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
  } catch {
    return undefined
  }
}
