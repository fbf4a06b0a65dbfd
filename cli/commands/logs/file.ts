import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

const CHUNK = 256 * 1024
const NOTHING = Buffer.alloc(0)

/** The lines of a file that may still grow. It stays the same file when it is renamed, or deleted. */
export class LinesOfFile {
  private position = 0
  /** A line that is not whole yet. */
  private rest: Buffer = NOTHING
  private readonly chunk = Buffer.alloc(CHUNK)

  private constructor(
    private readonly file: number,
    readonly inode: number,
  ) {}

  /** Undefined: there is no such file, or no longer. @throws the file system's error when it can't be read */
  static open(path: string): LinesOfFile | undefined {
    try {
      const file = openSync(path, 'r')
      return new LinesOfFile(file, fstatSync(file).ino)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  /** The whole lines that have come since the last call. */
  *read(): Generator<string> {
    if (fstatSync(this.file).size < this.position) {
      this.position = 0
      this.rest = NOTHING
    }
    for (;;) {
      const read = readSync(this.file, this.chunk, 0, CHUNK, this.position)
      if (read === 0) return
      this.position += read
      const bytes = Buffer.concat([this.rest, this.chunk.subarray(0, read)])
      const end = bytes.lastIndexOf(10)
      this.rest = Buffer.from(bytes.subarray(end + 1))
      if (end >= 0) yield* bytes.toString('utf8', 0, end).split('\n')
    }
  }

  close(): void {
    closeSync(this.file)
  }
}
