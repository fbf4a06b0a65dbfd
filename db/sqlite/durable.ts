import { createHash } from 'node:crypto'
import { closeSync, createReadStream, fsyncSync, openSync } from 'node:fs'

/** Writes a file, or the names in a directory, to the disk. Returns when they are there. */
export function flush(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** SHA-256 of a file of any size, in hex. */
export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk)
  return hash.digest('hex')
}

/** Gives a file name that sorts by time and is valid on every file system: `2026-11-21T10-30-00-000Z`. */
export function nameOfTime(time: number): string {
  return new Date(time).toISOString().replaceAll(/[:.]/g, '-')
}
