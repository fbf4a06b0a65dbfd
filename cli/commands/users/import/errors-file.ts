import { closeSync, fchmodSync, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { usage } from '../../../exit.ts'
import { count, note, plain } from '../../../terminal/terminal.ts'
import type { Refusal } from './refusal.ts'

/** Receives the refused records. */
export interface RefusalLog {
  write(refusals: readonly Refusal[]): void
  /** Length of the file in bytes. A resumed import cuts the file to the length in its journal. */
  readonly bytes: number
  close(): void
}

/** A file with a JSON object per line. Only its owner can read it: records may contain hashes. */
export class ErrorsFile implements RefusalLog {
  private readonly file: number

  /** @param bytes how much of an existing file to keep @throws Failure if the file cannot be written */
  constructor(
    path: string,
    public bytes: number,
  ) {
    try {
      this.file = openSync(path, bytes > 0 ? 'r+' : 'w', 0o600)
      // An existing file keeps its old mode.
      fchmodSync(this.file, 0o600)
      ftruncateSync(this.file, bytes)
    } catch {
      throw usage(`The errors file cannot be written: ${path}`)
    }
  }

  write(refusals: readonly Refusal[]): void {
    if (refusals.length === 0) return
    const text = refusals.map((refusal) => `${JSON.stringify(refusal)}\n`).join('')
    this.bytes += writeSync(this.file, text, this.bytes)
    fsyncSync(this.file)
  }

  close(): void {
    closeSync(this.file)
  }
}

const SHOWN_MAX = 20

/** Prints the first refusals on standard error, without the records themselves. */
export class ErrorsOnTerminal implements RefusalLog {
  readonly bytes = 0
  private number = 0

  write(refusals: readonly Refusal[]): void {
    for (const { place, code, message } of refusals)
      if (++this.number <= SHOWN_MAX) note(`✗ ${place}: ${plain(message)} (${plain(code)})`)
  }

  close(): void {
    const more = this.number - SHOWN_MAX
    if (more > 0) note(`… and ${count(more)} more: --errors <file> saves all of them`)
  }
}
