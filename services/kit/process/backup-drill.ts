import { randomUUID } from 'node:crypto'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const FILE = 'last-drill.json'

/** The last trial restore of a backup that was fetched from the bucket. */
export interface Drill {
  at: string
  backup: string
  /** When that backup was made. */
  created_at: string
  passed: boolean
}

/** Records a trial beside the backups, for `ch202 doctor` and the metrics. */
export function recordDrill(root: string, drill: Drill): void {
  const draft = join(root, `.${randomUUID()}`)
  writeFileSync(draft, `${JSON.stringify(drill)}\n`, { mode: 0o600, flush: true })
  renameSync(draft, join(root, FILE))
}

/** The last trial; undefined before the first. */
export function lastDrill(root: string): Drill | undefined {
  try {
    const drill: Partial<Drill> = JSON.parse(readFileSync(join(root, FILE), 'utf8')) ?? {}
    const isDrill =
      [drill.at, drill.created_at].every((time) => !Number.isNaN(Date.parse(String(time)))) &&
      typeof drill.backup === 'string' &&
      typeof drill.passed === 'boolean'
    return isDrill ? (drill as Drill) : undefined
  } catch {
    return undefined
  }
}

/**
 * The age of a trial counts from the older of its two times: a trial of yesterday shows little if the backup was old.
 * @returns milliseconds since the epoch
 */
export function drillTime({ at, created_at }: Drill): number {
  return Math.min(Date.parse(at), Date.parse(created_at))
}
