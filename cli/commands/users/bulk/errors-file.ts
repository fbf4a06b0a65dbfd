import { closeSync, fchmodSync, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { usage } from '../../../exit.ts'
import { count, note, plain } from '../../../terminal/terminal.ts'
import type { ImportLine } from './record.ts'

/** A record that was not taken, and why. */
export interface Refusal {
  place: number
  code: string
  message: string
  /** As `users import` reads it: mended, the line can be imported again. */
  record?: ImportLine
  /** Roles that are not in the record, because they do not fit here. */
  roles_left_out?: string[]
}

/** Where refusals go. */
export interface Refusals {
  write(refusals: readonly Refusal[]): void
  /** How many bytes of a file they take; what is written beyond when the tool is killed is cut off again. */
  readonly bytes: number
  close(): void
}

/** Lines of JSON, for no one else to read: they may hold hashes. */
export class ErrorsFile implements Refusals {
  private readonly file: number

  /** @param bytes how much of it is to stay @throws Failure where it can't be written */
  constructor(
    path: string,
    public bytes: number,
  ) {
    try {
      this.file = openSync(path, bytes > 0 ? 'r+' : 'w', 0o600)
      // It may have been there before.
      fchmodSync(this.file, 0o600)
      ftruncateSync(this.file, bytes)
    } catch {
      throw usage(`The file of errors can't be written: ${path}`)
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

const SHOWN = 20

/** On standard error, as many as one can read. What they hold is not shown. */
export class ErrorsShown implements Refusals {
  readonly bytes = 0
  private number = 0

  write(refusals: readonly Refusal[]): void {
    for (const { place, code, message } of refusals)
      if (++this.number <= SHOWN) note(`✗ ${place}: ${plain(message)} (${plain(code)})`)
  }

  close(): void {
    const more = this.number - SHOWN
    if (more > 0) note(`… and ${count(more)} more: --errors <file> keeps them all`)
  }
}
