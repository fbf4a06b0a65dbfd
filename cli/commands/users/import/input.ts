import { createHash } from 'node:crypto'
import { closeSync, createReadStream, openSync, readSync, type Stats, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { Failure, usage } from '../../../exit.ts'
import type { Bytes } from './text/text-lines.ts'

/** Bytes read at once. */
const CHUNK = 256 * 1024
const DIGEST_BYTES = 64 * 1024

/** Identifies a file, to detect changes between two runs of an import. */
export interface FileIdentity {
  size: number
  /** Milliseconds. */
  mtime: number
  /** SHA-256 of the first 64 KiB, in hex. */
  digest: string
}

/** The imported file, or standard input, which can be read only once. */
export class Input {
  /** Number of bytes read so far. */
  bytesRead = 0
  private bytesReadAhead = 0
  /** Absolute path; null for standard input. */
  readonly path: string | null = null
  readonly identity: FileIdentity | null = null
  private stopReading: (() => Promise<void>) | undefined
  private closed = false

  /** @throws Failure if there is no such file */
  constructor(readonly name: string) {
    if (name === '-') return
    const path = resolve(name)
    try {
      const stats = statSync(path)
      if (!stats.isFile()) throw usage(wrongFileType(name, stats))
      const { size, mtimeMs } = stats
      this.path = path
      this.identity = { size, mtime: Math.trunc(mtimeMs), digest: digestOf(path) }
    } catch (error) {
      if (error instanceof Failure) throw error
      if (error instanceof Error && 'code' in error && error.code === 'EACCES')
        throw usage(`The file cannot be read: ${name}`)
      throw usage(`There is no such file: ${name}`)
    }
  }

  /** Fraction of the file read so far (0 to 1); undefined for standard input. */
  get part(): number | undefined {
    const size = this.identity?.size
    return size ? Math.min(this.bytesRead / size, 1) : undefined
  }

  /** Fraction of the file that the read-ahead has read (0 to 1). */
  get partAhead(): number | undefined {
    const size = this.identity?.size
    return size ? Math.min(this.bytesReadAhead / size, 1) : undefined
  }

  /** Reads the input from its beginning. */
  async *bytes(): Bytes & AsyncGenerator<Uint8Array> {
    for await (const chunk of this.path ? fileBytes(this.path) : this.stdinBytes()) {
      this.bytesRead += chunk.length
      yield chunk
    }
  }

  /** Reads the file once more from its beginning, for a read-ahead that does not count in `read`. */
  async *bytesAgain(): Bytes & AsyncGenerator<Uint8Array> {
    this.bytesReadAhead = 0
    for await (const chunk of fileBytes(this.path ?? '')) {
      if (this.closed) return
      this.bytesReadAhead += chunk.length
      yield chunk
    }
  }

  /** Stops reading: standard input may never end. */
  close(): void {
    this.closed = true
    void this.stopReading?.()
  }

  private async *stdinBytes(): Bytes & AsyncGenerator<Uint8Array> {
    const reader = Bun.stdin.stream().getReader()
    this.stopReading = () => reader.cancel()
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value
  }
}

function fileBytes(path: string): Bytes {
  return createReadStream(path, { highWaterMark: CHUNK })
}

/** Error message for a path that is not a regular file. */
function wrongFileType(name: string, stats: Stats): string {
  if (stats.isDirectory()) return `${name} is a directory, not a file`
  return `${name} is not a regular file: pipe it to standard input and pass - instead`
}

function digestOf(path: string): string {
  const file = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(DIGEST_BYTES)
    const length = readSync(file, bytes)
    return createHash('sha256').update(bytes.subarray(0, length)).digest('hex')
  } finally {
    closeSync(file)
  }
}
