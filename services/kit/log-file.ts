import { closeSync, fstatSync, mkdirSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Bytes. A file that would grow larger is rotated. */
const FILE_MAX = 10 * 1024 * 1024
/** The current file and the rotated ones: `auth.log`, `auth.log.1` to `auth.log.4`. */
const LOG_FILES = 5
/** Milliseconds that a line waits for others, because a write costs more than a line. */
const FLUSH_AFTER = 100
/** Characters that are written at once. */
const BATCH_MAX = 256 * 1024

/** The directory of the log files. */
export function logsOf(dataDir: string): string {
  return join(dataDir, 'logs')
}

/** Called when a log file cannot be written, and when it can be written again. */
export interface LogFileEvents {
  failed(error: unknown): void
  /** @param lost the number of lines that were not written */
  resumed(lost: number): void
}

const open = new Map<string, LogFile>()

/** The log file of a service. All its loggers share one. */
export function logFile(dataDir: string, service: string, events: LogFileEvents): LogFile {
  const path = join(logsOf(dataDir), `${service}.log`)
  const existing = open.get(path)
  if (existing) return existing
  // Runs at an orderly stop and after an uncaught error.
  if (open.size === 0) process.once('exit', () => open.forEach((file) => void file.flush()))
  const file = new LogFile(path, events)
  open.set(path, file)
  return file
}

/**
 * A log file that is rotated when it is full. `write` buffers a line; the buffer is written soon after. Lines that cannot
 * be written are lost, counted and reported: the service keeps running.
 */
class LogFile {
  private buffer: string[] = []
  private length = 0
  private timer: ReturnType<typeof setTimeout> | undefined
  private file: number | undefined
  private lost = 0
  private failing = false
  /** Whether the file ends with half a line, as after a full disk. */
  private isCut = false

  constructor(
    private readonly path: string,
    private readonly events: LogFileEvents,
  ) {}

  /** @param line ends with a line feed */
  write(line: string): void {
    this.buffer.push(line)
    this.length += line.length
    if (this.length > BATCH_MAX) this.flush()
    else this.timer ??= setTimeout(() => this.flush(), FLUSH_AFTER).unref()
  }

  flush(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    if (this.buffer.length === 0) return
    const ending = this.isCut ? '\n' : ''
    const bytes = Buffer.from(ending + this.buffer.join(''))
    this.buffer = []
    this.length = 0
    let written = 0
    try {
      const file = this.ready(bytes.length)
      while (written < bytes.length) written += writeSync(file, bytes, written)
    } catch (error) {
      this.lost += bytes.subarray(Math.max(written, ending.length)).filter((byte) => byte === 10).length
      this.isCut = written > 0 ? bytes[written - 1] !== 10 : this.isCut
      this.fail(error)
      return
    }
    this.isCut = false
    if (!this.failing) return
    this.failing = false
    this.events.resumed(this.lost)
    this.lost = 0
  }

  /** The descriptor to write to. Opens a new file when the current one is full, moved or deleted. */
  private ready(more: number): number {
    if (this.file !== undefined && !this.isInPlace(this.file)) this.close()
    this.file ??= this.create()
    const { size } = fstatSync(this.file)
    if (size === 0 || size + more <= FILE_MAX) return this.file
    this.close()
    this.rotate()
    this.file = this.create()
    return this.file
  }

  private isInPlace(file: number): boolean {
    try {
      return statSync(this.path).ino === fstatSync(file).ino
    } catch {
      return false
    }
  }

  private create(): number {
    try {
      // Not recursive: a deleted data directory must not come back.
      mkdirSync(dirname(this.path), { mode: 0o700 })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    return openSync(this.path, 'a', 0o600)
  }

  private rotate(): void {
    const name = (number: number) => (number === 0 ? this.path : `${this.path}.${number}`)
    rmSync(name(LOG_FILES - 1), { force: true })
    for (let number = LOG_FILES - 1; number > 0; number--) {
      try {
        renameSync(name(number - 1), name(number))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      }
    }
  }

  private fail(error: unknown): void {
    this.close()
    if (this.failing) return
    this.failing = true
    this.events.failed(error)
  }

  private close(): void {
    if (this.file === undefined) return
    try {
      closeSync(this.file)
    } catch {
      // The failed write was reported already.
    }
    this.file = undefined
  }
}

/** The service and the age of a log file (0: the current file). @returns undefined for any other file */
export function logFileNamed(path: string): { service: string; age: number } | undefined {
  const match = /^([a-z0-9][a-z0-9-]*)\.log(?:\.([1-9]))?$/.exec(basename(path))
  return match?.[1] === undefined ? undefined : { service: match[1], age: Number(match[2] ?? 0) }
}
