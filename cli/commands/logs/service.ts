import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { logFileNamed, logsOf } from '../../../services/kit/log-file.ts'
import { LinesOfFile } from './file.ts'

/** The lines of one service, the oldest first, over the files that were put aside and the one that is written. */
export class LinesOfService {
  private files: LinesOfFile[] = []

  constructor(
    private readonly dataDir: string,
    private readonly name: string,
  ) {}

  /** Opens what is there; files that were last written before `since` (milliseconds) are left out. */
  open(since: number): this {
    this.files = this.openAll(this.pathsFrom().filter((path) => writtenSince(path, since)))
    return this
  }

  /** The lines that have come since the last call. */
  *read(): Generator<string> {
    for (const file of this.files) yield* file.read()
  }

  /** Finds the files that were begun since: what is left in the one before them is read first. */
  follow(): void {
    if (this.isInPlace()) return
    const files = this.openAll(this.pathsFrom())
    const last = this.files.at(-1)
    const known = files.findIndex(({ inode }) => inode === last?.inode)
    // Deleted, or put aside so often that it is gone: then all are newer.
    const newer = files.slice(known + 1)
    for (const file of files.slice(0, known + 1)) file.close()
    if (newer.length === 0) return
    for (const file of this.files.slice(0, -1)) file.close()
    this.files = [...this.files.slice(-1), ...newer]
  }

  private isInPlace(): boolean {
    try {
      const { ino } = statSync(join(logsOf(this.dataDir), `${this.name}.log`))
      return ino === this.files.at(-1)?.inode
    } catch {
      return false
    }
  }

  private openAll(paths: readonly string[]): LinesOfFile[] {
    const files = new Map<number, LinesOfFile>()
    for (const path of paths) {
      const file = LinesOfFile.open(path)
      // Renamed between two looks, one is found under two names.
      if (file && files.has(file.inode)) file.close()
      else if (file) files.set(file.inode, file)
    }
    return [...files.values()]
  }

  /** Oldest first. */
  private pathsFrom(): string[] {
    return logNames(this.dataDir)
      .flatMap((name) => {
        const known = logFileNamed(name)
        return known?.service === this.name ? [{ path: join(logsOf(this.dataDir), name), age: known.age }] : []
      })
      .sort((a, b) => b.age - a.age)
      .map(({ path }) => path)
  }
}

/** The services of which there are logs. */
export function servicesWithLogs(dataDir: string): string[] {
  const found = logNames(dataDir).flatMap((name) => logFileNamed(name)?.service ?? [])
  return [...new Set(found)].sort()
}

function logNames(dataDir: string): string[] {
  try {
    return readdirSync(logsOf(dataDir))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

function writtenSince(path: string, since: number): boolean {
  try {
    return statSync(path).mtimeMs >= since
  } catch {
    return false
  }
}
