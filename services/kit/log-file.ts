import { closeSync, fstatSync, mkdirSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Bytes beyond which a file is put aside and a new one begun. */
const FILE_MAX = 10 * 1024 * 1024
/** The one that is written, and those put aside: `auth.log`, `auth.log.1` to `auth.log.4`. */
const LOG_FILES = 5
/** How long a line waits for others, in milliseconds: a write costs a request more than its line does. */
const PAUSE = 100
/** Characters that are not kept waiting. */
const BATCH_MAX = 256 * 1024

/** Where the services of a data directory write their lines. */
export function logsOf(dataDir: string): string {
  return join(dataDir, 'logs')
}

/** What a file tells of itself: that it can't be written, and that it can again. */
export interface LogFileEvents {
  failed(error: unknown): void
  /** @param lost lines that are in no file */
  resumed(lost: number): void
}

const open = new Map<string, LogFile>()

/** The file of one service; the same one for all its loggers. */
export function logFile(dataDir: string, service: string, events: LogFileEvents): LogFile {
  const path = join(logsOf(dataDir), `${service}.log`)
  const known = open.get(path)
  if (known) return known
  // An orderly stop ends the process by itself; so does a failure that nobody catches.
  if (open.size === 0) process.once('exit', () => open.forEach((file) => void file.flush()))
  const file = new LogFile(path, events)
  open.set(path, file)
  return file
}

/**
 * A file of lines that is turned over when it is full. A line is handed over at once and written soon, with those that
 * came meanwhile. What can't be written is lost, counted and told: the service goes on.
 */
class LogFile {
  private waiting: string[] = []
  private length = 0
  private timer: ReturnType<typeof setTimeout> | undefined
  private file: number | undefined
  private lost = 0
  private failing = false
  /** A full disk may have taken half a line. */
  private cut = false

  constructor(
    private readonly path: string,
    private readonly events: LogFileEvents,
  ) {}

  /** @param line ends with a line feed */
  write(line: string): void {
    this.waiting.push(line)
    this.length += line.length
    if (this.length > BATCH_MAX) this.flush()
    else this.timer ??= setTimeout(() => this.flush(), PAUSE).unref()
  }

  flush(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    if (this.waiting.length === 0) return
    const ending = this.cut ? '\n' : ''
    const bytes = Buffer.from(ending + this.waiting.join(''))
    this.waiting = []
    this.length = 0
    let written = 0
    try {
      const file = this.ready(bytes.length)
      while (written < bytes.length) written += writeSync(file, bytes, written)
    } catch (error) {
      this.lost += bytes.subarray(Math.max(written, ending.length)).filter((byte) => byte === 10).length
      this.cut = written > 0 ? bytes[written - 1] !== 10 : this.cut
      this.fail(error)
      return
    }
    this.cut = false
    if (!this.failing) return
    this.failing = false
    this.events.resumed(this.lost)
    this.lost = 0
  }

  /** The file to write to: another one when it is full, or was moved away or deleted. */
  private ready(more: number): number {
    if (this.file !== undefined && !this.isInPlace(this.file)) this.close()
    this.file ??= this.create()
    const { size } = fstatSync(this.file)
    if (size === 0 || size + more <= FILE_MAX) return this.file
    this.close()
    this.turnOver()
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
      // Not the directory above: a data directory that was taken away stays away.
      mkdirSync(dirname(this.path), { mode: 0o700 })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    return openSync(this.path, 'a', 0o600)
  }

  private turnOver(): void {
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
      // What the disk would not take of it was told.
    }
    this.file = undefined
  }
}

/** What a path in the directory of the logs is: whose lines, and how old a file (0: the one that is written). */
export function logFileNamed(path: string): { service: string; age: number } | undefined {
  const match = /^([a-z0-9][a-z0-9-]*)\.log(?:\.([1-9]))?$/.exec(basename(path))
  return match?.[1] === undefined ? undefined : { service: match[1], age: Number(match[2] ?? 0) }
}
