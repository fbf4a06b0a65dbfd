import { createHash } from 'node:crypto'
import { closeSync, createReadStream, openSync, readSync, type Stats, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { Failure, usage } from '../../../exit.ts'
import type { Bytes } from './text-lines.ts'

const CHUNK = 256 * 1024
const DIGESTED = 64 * 1024

/** What makes a file the one that it was when an import of it was begun. */
export interface FileIdentity {
  size: number
  /** Milliseconds. */
  mtime: number
  /** Of its first bytes. */
  digest: string
}

/** What is imported: a file, or standard input, which can be read but once. */
export class Input {
  /** How many bytes were read so far. */
  read = 0
  private readAhead = 0
  /** Absolute; null for what can't be read again. */
  readonly path: string | null = null
  readonly identity: FileIdentity | null = null
  private stopReading: (() => Promise<void>) | undefined
  private closed = false

  /** @throws Failure where there is no such file */
  constructor(readonly name: string) {
    if (name === '-') return
    const path = resolve(name)
    try {
      const found = statSync(path)
      if (!found.isFile()) throw usage(noFile(name, found))
      const { size, mtimeMs } = found
      this.path = path
      this.identity = { size, mtime: Math.trunc(mtimeMs), digest: digestOf(path) }
    } catch (error) {
      if (error instanceof Failure) throw error
      if (error instanceof Error && 'code' in error && error.code === 'EACCES')
        throw usage(`The file can't be read: ${name}`)
      throw usage(`There is no such file: ${name}`)
    }
  }

  /** The share that was read, where it is known. */
  get part(): number | undefined {
    const size = this.identity?.size
    return size ? Math.min(this.read / size, 1) : undefined
  }

  /** The share that a look ahead has read. */
  get partAhead(): number | undefined {
    const size = this.identity?.size
    return size ? Math.min(this.readAhead / size, 1) : undefined
  }

  async *bytes(): Bytes & AsyncGenerator<Uint8Array> {
    for await (const chunk of this.path ? fileBytes(this.path) : this.standard()) {
      this.read += chunk.length
      yield chunk
    }
  }

  /** A file from its beginning once more, for a look ahead: what is read so is not counted. */
  async *again(): Bytes & AsyncGenerator<Uint8Array> {
    this.readAhead = 0
    for await (const chunk of fileBytes(this.path ?? '')) {
      if (this.closed) return
      this.readAhead += chunk.length
      yield chunk
    }
  }

  /** Waits for no more of it: whoever writes to standard input may never end. */
  close(): void {
    this.closed = true
    void this.stopReading?.()
  }

  private async *standard(): Bytes & AsyncGenerator<Uint8Array> {
    const reader = Bun.stdin.stream().getReader()
    this.stopReading = () => reader.cancel()
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value
  }
}

function fileBytes(path: string): Bytes {
  return createReadStream(path, { highWaterMark: CHUNK })
}

/** What stands where a file should. */
function noFile(name: string, found: Stats): string {
  if (found.isDirectory()) return `${name} is a directory, not a file`
  return `${name} is no file that can be read again: give it to standard input, and say -`
}

function digestOf(path: string): string {
  const file = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(DIGESTED)
    const length = readSync(file, bytes)
    return createHash('sha256').update(bytes.subarray(0, length)).digest('hex')
  } finally {
    closeSync(file)
  }
}
