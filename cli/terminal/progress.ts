import { count, note } from './terminal.ts'

/** Milliseconds between two updates. */
const LINE_EVERY = 5000
const BAR_EVERY = 100
/** Characters. */
const BAR_WIDTH = 24

/** Shows progress on standard error: a bar on a terminal, otherwise a line every five seconds. */
export class Progress {
  private readonly startedAt = performance.now()
  private updatedAt = performance.now()
  private barShown = false

  /** @param noun the counted things, such as `users` */
  constructor(
    private readonly noun: string,
    private readonly quiet = false,
  ) {}

  /** @param size `total` if known, or `part` (0 to 1) if only a fraction is */
  update(completed: number, size: { total?: number | null; part?: number } = {}): void {
    const now = performance.now()
    const isLive = process.stderr.isTTY === true && process.env.TERM !== 'dumb'
    if (this.quiet || now - this.updatedAt < (isLive ? BAR_EVERY : LINE_EVERY)) return
    this.updatedAt = now
    const part = size.part ?? (size.total ? Math.min(completed / size.total, 1) : undefined)
    const rate = Math.round(completed / Math.max((now - this.startedAt) / 1000, 0.001))
    const text = `${count(completed)} ${this.noun}${part === undefined ? '' : ` (${Math.floor(part * 100)}%)`}, ${count(rate)}/s`
    if (!isLive) {
      note(text)
      return
    }
    this.barShown = true
    const filled = Math.round((part ?? 0) * BAR_WIDTH)
    const bar = part === undefined ? '' : `[${'█'.repeat(filled)}${' '.repeat(BAR_WIDTH - filled)}] `
    process.stderr.write(`\r\x1b[2K${bar}${text}`)
  }

  /** Removes the bar before other output. */
  clear(): void {
    if (this.barShown) process.stderr.write('\r\x1b[2K')
    this.barShown = false
  }
}
