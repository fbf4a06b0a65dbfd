import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

const CHUNK = 256 * 1024
const EMPTY = Buffer.alloc(0)

/** Reads lines of a log file that may still grow, even after it is renamed or deleted. */
export class LogFile {
  private position = 0
  /** An incomplete last line. */
  private rest: Buffer = EMPTY
  private readonly chunk = Buffer.alloc(CHUNK)

  private constructor(
    private readonly file: number,
    readonly inode: number,
  ) {}

  /** Opens a file; undefined if it does not exist. @throws the file system's error */
  static open(path: string): LogFile | undefined {
    try {
      const file = openSync(path, 'r')
      return new LogFile(file, fstatSync(file).ino)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  /** The complete lines since the last call. */
  *read(): Generator<string> {
    if (fstatSync(this.file).size < this.position) {
      this.position = 0
      this.rest = EMPTY
    }
    for (;;) {
      const length = readSync(this.file, this.chunk, 0, CHUNK, this.position)
      if (length === 0) return
      this.position += length
      const bytes = Buffer.concat([this.rest, this.chunk.subarray(0, length)])
      const end = bytes.lastIndexOf(10)
      this.rest = Buffer.from(bytes.subarray(end + 1))
      if (end >= 0) yield* bytes.toString('utf8', 0, end).split('\n')
    }
  }

  close(): void {
    closeSync(this.file)
  }
}
