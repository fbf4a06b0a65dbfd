import { EXIT, Failure, usage } from './exit.ts'
import { colored, count, note, plain, write } from './terminal.ts'

export const OUTPUTS = ['table', 'json', 'jsonl', 'csv', 'ids'] as const
export type Output = (typeof OUTPUTS)[number]

export type Row = Record<string, unknown>

/** A part of a list, as the API answers it. */
export interface ListPage {
  items: Row[]
  total: number | null
  next_cursor: string | null
}

export interface Form {
  output: Output
  /** The fields that were asked for, in their order. */
  fields?: string[] | undefined
  color: boolean
  quiet: boolean
}

/** Names that a row goes by, the surest first. */
const IDS = ['id', 'kid', 'user_id', 'name', 'ref']
const GAP = '  '
const NARROWEST = 8

/** Writes what a command has to give, in the form that was asked for. Data is on standard output, nothing else is. */
export class Printer {
  private header = true

  constructor(readonly form: Form) {}

  get json(): boolean {
    return this.form.output === 'json' || this.form.output === 'jsonl'
  }

  /** One record. */
  async record(record: Row): Promise<void> {
    const { output } = this.form
    const picked = this.pick(record)
    if (this.json) return write(JSON.stringify(picked))
    if (output === 'ids') return write(plain(idOf(record)))
    if (output === 'csv') return write(csvLines([picked], Object.keys(picked), true))
    const names = Object.keys(picked)
    const width = Math.max(0, ...names.map((name) => name.length))
    await write(names.map((name) => `${this.faint(name.padEnd(width))}${GAP}${cell(picked[name])}`).join('\n'))
  }

  /**
   * What a command did where the API answers nothing.
   * @param said for people, on standard error
   */
  async done(changed: boolean, said: string, more: Row = {}): Promise<void> {
    if (this.json) return write(JSON.stringify({ ok: true, ...more, changed }))
    this.say(`${changed ? '✓ ' : ''}${said}`)
  }

  /** What is good to know, for people: not data. */
  say(text: string): void {
    if (!this.form.quiet && !this.json) note(text)
  }

  /**
   * A list that is whole.
   * @param columns what a table shows of each row; the other forms have all of it
   */
  async list(items: readonly Row[], columns: readonly string[]): Promise<void> {
    if (this.form.output === 'json') return write(JSON.stringify({ items: items.map((item) => this.pick(item)) }))
    await this.rows(items, columns)
  }

  /** A part of a list, as the API answered it; a list cut short says so, and how to go on. */
  async page(page: ListPage, columns: readonly string[], next: (cursor: string) => string): Promise<void> {
    if (this.form.output === 'json')
      await write(JSON.stringify({ ...page, items: page.items.map((item) => this.pick(item)) }))
    else await this.rows(page.items, columns)
    if (page.next_cursor === null || this.form.quiet) return
    const of = page.total === null ? ', there are more' : ` of ${count(page.total)}`
    note(`${count(page.items.length)}${of}\n→ ${next(page.next_cursor)}`)
  }

  /** A walk of all of a list, however long: never more than a page of it is here. */
  async walk(pages: AsyncIterable<ListPage>, columns: readonly string[]): Promise<void> {
    const whole = this.form.output === 'json'
    let written = 0
    let total: number | null = null
    for await (const page of pages) {
      total ??= page.total
      if (!whole) await this.rows(page.items, columns)
      else
        for (const item of page.items)
          await write(`${written++ === 0 ? '{"items":[' : ','}${JSON.stringify(this.pick(item))}`)
    }
    if (whole) await write(`${written === 0 ? '{"items":[' : ''}],"total":${total},"next_cursor":null}`)
  }

  /** Rows of a list; the first call writes the header. */
  async rows(rows: readonly Row[], columns: readonly string[]): Promise<void> {
    const { output } = this.form
    const first = this.header
    this.header = false
    if (output === 'jsonl' || output === 'json') {
      for (const row of rows) await write(JSON.stringify(this.pick(row)))
      return
    }
    if (output === 'ids') {
      for (const row of rows) await write(plain(idOf(row)))
      return
    }
    const picked = rows.map((row) => this.pick(row))
    const [one] = picked
    const names = this.form.fields ?? (output === 'csv' && one ? Object.keys(one) : [...columns])
    const text = output === 'csv' ? csvLines(picked, names, first) : this.aligned(picked, names, first)
    if (text !== '') await write(text)
  }

  private aligned(rows: readonly Row[], names: readonly string[], first: boolean): string {
    const onTerminal = process.stdout.isTTY === true
    const header = first && onTerminal && rows.length > 0
    const cells = rows.map((row) => names.map((name) => (onTerminal ? shortened(cell(row[name])) : cell(row[name]))))
    const titles = names.map((name) => name.replaceAll('_', ' ').toUpperCase())
    const widths = names.map((_, at) =>
      Math.max(header ? Bun.stringWidth(titles[at] ?? '') : 0, ...cells.map((row) => Bun.stringWidth(row[at] ?? ''))),
    )
    if (onTerminal) fit(widths, process.stdout.columns)
    const line = (row: readonly string[]) =>
      row
        .map((text, at) => padded(text, widths[at] ?? 0))
        .join(GAP)
        .trimEnd()
    return [...(header ? [this.faint(line(titles))] : []), ...cells.map(line)].join('\n')
  }

  private pick(record: Row): Row {
    const { fields } = this.form
    if (!fields) return record
    const unknown = fields.find((name) => !(name in record))
    if (unknown !== undefined)
      throw usage(`There is no field ${plain(unknown)}: there are ${Object.keys(record).join(', ')}`)
    return Object.fromEntries(fields.map((name) => [name, record[name]]))
  }

  private faint(text: string): string {
    return colored(process.stdout, this.form.color) ? `\x1b[2m${text}\x1b[0m` : text
  }
}

function idOf(row: Row): string {
  const name = IDS.find((candidate) => candidate in row)
  return name === undefined ? '' : String(row[name] ?? '')
}

/** Times to the second: a table is read by people. */
function shortened(text: string): string {
  return text.replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)\.\d{3}Z$/, '$1 $2Z')
}

/** Takes from the widest columns what the terminal has no room for; the first, by which a row is named, stays whole. */
function fit(widths: number[], columns: number | undefined): void {
  const room = (columns ?? 80) - GAP.length * (widths.length - 1)
  for (let over = widths.reduce((sum, width) => sum + width, 0) - room; over > 0; over--) {
    const widest = Math.max(...widths.slice(1))
    if (widest <= NARROWEST) return
    widths[widths.indexOf(widest, 1)] = widest - 1
  }
}

function padded(text: string, width: number): string {
  const own = Bun.stringWidth(text)
  if (own <= width) return text + ' '.repeat(width - own)
  let cut = ''
  for (const character of text) {
    if (Bun.stringWidth(cut + character) >= width) break
    cut += character
  }
  return `${cut}…`.padEnd(width)
}

function text(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (Array.isArray(value)) return value.map(text).join(',')
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

function cell(value: unknown): string {
  return plain(text(value))
}

/** RFC 4180, with plain line feeds. */
function csvLines(rows: readonly Row[], names: readonly string[], header: boolean): string {
  const lines = rows.map((row) => names.map((name) => csv(text(row[name]))).join(','))
  return (header && names.length > 0 ? [names.map(csv).join(','), ...lines] : lines).join('\n')
}

function csv(value: string): string {
  return /[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value
}

/** What a failure is in JSON. */
export function failureRead(failure: Failure) {
  const { code = 'failed', requestId, retryable = false, suggestion } = failure.said
  return { code, message: failure.message, suggestion, request_id: requestId, retryable }
}

/** Tells a failure: to people on standard error, as JSON on standard output. Gives the exit status. */
export function tell(error: unknown, output: Output): number {
  const failure = asFailure(error)
  const { code, message, request_id, suggestion } = failureRead(failure)
  if (output === 'json' || output === 'jsonl') {
    void write(JSON.stringify({ ok: false, error: failureRead(failure) }))
  } else {
    const request = request_id === undefined ? '' : `, request ${plain(request_id)}`
    note(`✗ ${message.split('\n').map(plain).join('\n')} (${plain(code)}${request})`)
    if (suggestion !== undefined) note(`→ ${plain(suggestion)}`)
  }
  return failure.exit
}

/** Settings, databases and ports: their errors were written for the operator. Anything else is a defect of ours. */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error
  return new Failure(EXIT.failed, error instanceof Error ? error.message : String(error))
}
