import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { logFileNamed, logsOf } from '../../../services/kit/log-file.ts'
import { LogFile } from './file.ts'

/** Reads the log of one service, oldest line first, across its rotated files and the current one. */
export class ServiceLog {
  private files: LogFile[] = []

  constructor(
    private readonly dataDir: string,
    private readonly name: string,
  ) {}

  /** Opens the existing files, except those last written before `since` (milliseconds since the epoch). */
  open(since: number): this {
    this.files = this.openAll(this.paths().filter((path) => writtenSince(path, since)))
    return this
  }

  /** The lines since the last call. */
  *read(): Generator<string> {
    for (const file of this.files) yield* file.read()
  }

  /** Opens files that were created since the last call; the rest of the previous file is read first. */
  follow(): void {
    if (this.isCurrent()) return
    const files = this.openAll(this.paths())
    const last = this.files.at(-1)
    const index = files.findIndex(({ inode }) => inode === last?.inode)
    // If the last file was deleted or rotated away (-1), all files are newer.
    const newer = files.slice(index + 1)
    for (const file of files.slice(0, index + 1)) file.close()
    if (newer.length === 0) return
    for (const file of this.files.slice(0, -1)) file.close()
    this.files = [...this.files.slice(-1), ...newer]
  }

  private isCurrent(): boolean {
    try {
      const { ino } = statSync(join(logsOf(this.dataDir), `${this.name}.log`))
      return ino === this.files.at(-1)?.inode
    } catch {
      return false
    }
  }

  private openAll(paths: readonly string[]): LogFile[] {
    const files = new Map<number, LogFile>()
    for (const path of paths) {
      const file = LogFile.open(path)
      // A file that is renamed during the listing appears under two names.
      if (file && files.has(file.inode)) file.close()
      else if (file) files.set(file.inode, file)
    }
    return [...files.values()]
  }

  /** Oldest first. */
  private paths(): string[] {
    return logNames(this.dataDir)
      .flatMap((name) => {
        const logFile = logFileNamed(name)
        return logFile?.service === this.name ? [{ path: join(logsOf(this.dataDir), name), age: logFile.age }] : []
      })
      .sort((a, b) => b.age - a.age)
      .map(({ path }) => path)
  }
}

/** The services that have log files. */
export function servicesWithLogs(dataDir: string): string[] {
  const names = logNames(dataDir).flatMap((name) => logFileNamed(name)?.service ?? [])
  return [...new Set(names)].sort()
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
