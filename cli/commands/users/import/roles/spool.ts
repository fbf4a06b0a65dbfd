import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Bytes that stay in memory; most piped input is smaller. */
const MEMORY_MAX = 8 * 1024 * 1024
const CHUNK = 1024 * 1024
const LF = 10

/**
 * Buffers values and yields them again in the same order. Beyond 8 MiB the values go to a temporary file that is unlinked
 * before the first write: no other process can open it, and it disappears with this process.
 */
export class Spool<T> {
  private texts: string[] = []
  private size = 0
  private file: number | undefined

  /** @throws the file system's error */
  add(value: T): void {
    const text = JSON.stringify(value)
    this.texts.push(text)
    this.size += Buffer.byteLength(text)
    if (this.size > (this.file === undefined ? MEMORY_MAX : CHUNK)) this.flush()
  }

  *values(): Generator<T> {
    if (this.file !== undefined) {
      this.flush()
      for (const line of linesOf(this.file)) yield JSON.parse(line) as T
    }
    for (const text of this.texts) yield JSON.parse(text) as T
    this.texts = []
  }

  close(): void {
    if (this.file !== undefined) closeSync(this.file)
    this.file = undefined
  }

  private flush(): void {
    this.file ??= unnamedFile()
    const bytes = Buffer.from(this.texts.map((text) => `${text}\n`).join(''))
    for (let at = 0; at < bytes.length; ) at += writeSync(this.file, bytes, at)
    this.texts = []
    this.size = 0
  }
}

/** Creates a file without a name, for this process only. */
function unnamedFile(): number {
  const directory = mkdtempSync(join(tmpdir(), 'ch202-import-'))
  try {
    return openSync(join(directory, 'spool'), 'wx+', 0o600)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function* linesOf(file: number): Generator<string> {
  const { size } = fstatSync(file)
  const chunk = Buffer.alloc(CHUNK)
  const pending: Buffer[] = []
  for (let at = 0; at < size; ) {
    const read = chunk.subarray(0, readSync(file, chunk, 0, CHUNK, at))
    at += read.length
    let start = 0
    for (let end = read.indexOf(LF); end >= 0; end = read.indexOf(LF, start)) {
      yield Buffer.concat([...pending.splice(0), read.subarray(start, end)]).toString()
      start = end + 1
    }
    if (start < read.length) pending.push(Buffer.from(read.subarray(start)))
  }
}
