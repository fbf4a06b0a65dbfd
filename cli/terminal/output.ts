import { EXIT, Failure, usage } from '../exit.ts'
import { cell, csvLines, jsonOf } from './cells.ts'
import { GAP, wrapped } from './columns.ts'
import { fieldLines } from './field-lines.ts'
import { fileErrorMessage } from './file-errors.ts'
import { type Alike, type Row, Table } from './table.ts'
import { colored, count, note, plain, width as terminalWidth, write } from './terminal.ts'

export const OUTPUTS = ['table', 'json', 'jsonl', 'csv', 'ids'] as const
export type Output = (typeof OUTPUTS)[number]

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
  /** Whether CSV begins with a byte order mark. */
  bom: boolean
  /** All columns of a table, and all of each. */
  wide?: boolean
}

export const BOM = '\ufeff'

/** What is read in a list of a few things, also where it is the same for all. */
const STANDS = ['status', 'state', 'enabled', 'available', 'value', 'verified_at', 'message']

/** Names that a row goes by, the surest first. */
const IDS = ['id', 'kid', 'user_id', 'name', 'ref', 'service']

/** Writes what a command has to give, in the form that was asked for. Data is on standard output, nothing else is. */
export class Printer {
  private header = true
  /** What csv names: one list has one set of columns. */
  private names: readonly string[] | undefined
  private table: Table | undefined

  constructor(readonly form: Form) {}

  get json(): boolean {
    return this.form.output === 'json' || this.form.output === 'jsonl'
  }

  /** One record. */
  async record(record: Row): Promise<void> {
    const { output } = this.form
    const picked = this.pick(record)
    if (this.json) return write(jsonOf(picked))
    if (output === 'ids') return write(plain(idOf(record)))
    if (output === 'csv') return write(this.bom + csvLines([picked], Object.keys(picked), true))
    const names = Object.keys(picked)
    const width = Math.max(0, ...names.map((name) => name.length))
    const room = this.form.wide ? undefined : terminalWidth(process.stdout)
    const lines = (name: string) => {
      const text = cell(picked[name])
      const [first = '', ...more] = room === undefined ? [text] : wrapped(text, room - width - GAP.length)
      const indent = ' '.repeat(width + GAP.length)
      return [`${this.faint(name.padEnd(width))}${GAP}${first}`.trimEnd(), ...more.map((line) => indent + line)]
    }
    await write(names.flatMap(lines).join('\n'))
  }

  /**
   * What a command did where the API answers nothing.
   * @param said for people, on standard error
   */
  async done(changed: boolean, said: string, more: Row = {}): Promise<void> {
    if (this.json) return write(jsonOf({ ok: true, ...more, changed }))
    this.say(`${changed ? '✓ ' : ''}${said}`)
  }

  /** What is good to know, for people: not data. */
  say(text: string): void {
    if (!this.form.quiet && !this.json) note(text)
  }

  /**
   * A list that is whole. How things stand is shown also where all stand alike.
   * @param columns what a table shows of each row; the other forms have all of it
   * @param alike as `rows` takes it
   */
  async list(items: readonly Row[], columns: readonly string[], alike: Alike = STANDS): Promise<void> {
    if (this.form.output === 'json') return write(jsonOf({ items: items.map((item) => this.pick(item)) }))
    await this.rows(items, columns, { alike })
    this.sayRoom()
  }

  /** A list of what was looked at: JSON says first whether all is well. */
  async checks(ok: boolean, items: readonly Row[], columns: readonly string[]): Promise<void> {
    if (this.form.output === 'json') return write(jsonOf({ ok, items: items.map((item) => this.pick(item)) }))
    await this.rows(items, columns)
  }

  /** A part of a list, as the API answered it; a list cut short says so, and how to go on. */
  async page(page: ListPage, columns: readonly string[], next: (cursor: string) => string): Promise<void> {
    if (this.form.output === 'json') await write(jsonOf({ ...page, items: page.items.map((item) => this.pick(item)) }))
    else await this.rows(page.items, columns, { alike: 'any' })
    this.sayRoom()
    if (page.next_cursor === null || this.form.quiet) return
    const of = page.total === null ? ', there are more' : ` of ${count(page.total)}`
    note(`${count(page.items.length)}${of}\n→ ${plain(next(page.next_cursor))}`)
  }

  /** A walk of all of a list, however long: never more than a page of it is here. */
  async walk(pages: AsyncIterable<ListPage>, columns: readonly string[]): Promise<void> {
    if (this.form.output !== 'json') {
      // Of one that goes on, no one knows yet what is the same in every row.
      for await (const page of pages)
        await this.rows(page.items, columns, { alike: page.next_cursor === null ? 'any' : 'none' })
      this.sayRoom()
      return
    }
    let total: number | null = null
    const pick = (item: Row) => jsonOf(this.pick(item))
    const parts = async function* () {
      for await (const page of pages) {
        total ??= page.total
        yield page.items.map(pick)
      }
    }
    await this.items(parts(), () => ({ total, next_cursor: null }))
  }

  /**
   * A list as one JSON value, however long. One that breaks off is closed, and tells of its failure beside the items.
   * @param parts items that are JSON @param more what stands beside the items, once they are written
   */
  async items(parts: AsyncIterable<readonly string[]>, more: () => Row = () => ({})): Promise<void> {
    let begun = false
    const end = (beside: Row) => {
      const rest = Object.entries(beside).map(([name, value]) => `,${JSON.stringify(name)}:${jsonOf(value)}`)
      return write(`${begun ? '' : '{"items":['}]${rest.join('')}}`)
    }
    try {
      for await (const items of parts) {
        if (items.length === 0) continue
        await write(`${begun ? ',' : '{"items":['}${items.join(',\n')}`)
        begun = true
      }
    } catch (error) {
      if (!begun) throw error
      const failure = asFailure(error)
      process.exitCode = failure.exit
      return end({ ok: false, error: failureFields(failure) })
    }
    await end(more())
  }

  /**
   * Rows of a list; the first call writes the header.
   * @param how what a table may leave out, and whether its rows come one by one
   */
  async rows(
    rows: readonly Row[],
    columns: readonly string[],
    { alike = 'none', live = false }: { alike?: Alike; live?: boolean } = {},
  ): Promise<void> {
    const { fields, output, wide = false } = this.form
    if (rows.length === 0) return
    const first = this.header
    this.header = false
    if (output === 'jsonl' || output === 'json') return write(rows.map((row) => jsonOf(this.pick(row))).join('\n'))
    if (output === 'ids') return write(rows.map((row) => plain(idOf(row))).join('\n'))
    const picked = rows.map((row) => this.pick(row))
    if (output === 'csv') {
      // Without a row there is no telling what of it csv would name.
      this.names ??= fields ?? (picked[0] && Object.keys(picked[0]))
      return write((first ? this.bom : '') + csvLines(picked, this.names ?? [], first))
    }
    this.table ??= new Table({
      columns: terminalWidth(process.stdout),
      wide,
      chosen: fields !== undefined,
      alike,
      live,
    })
    await write(this.table.lines(picked, fields ?? columns, (text) => this.faint(text)).join('\n'))
  }

  private sayRoom(): void {
    if (this.table?.lacksRoom) this.say('→ --wide shows every column')
  }

  private get bom(): string {
    return this.form.bom ? BOM : ''
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

/** What a failure is in JSON. */
export function failureFields(failure: Failure) {
  const { code = 'failed', errors, requestId, retryable = false, suggestion } = failure.details
  return { code, message: failure.message, errors, suggestion, request_id: requestId, retryable }
}

/** Tells a failure: to people on standard error, as JSON on standard output. Gives the exit status. */
export function printFailure(error: unknown, output: Output): number {
  const failure = asFailure(error)
  const { code, errors = [], message, request_id, suggestion } = failureFields(failure)
  if (output === 'json' || output === 'jsonl') {
    void write(jsonOf({ ok: false, error: failureFields(failure) }))
  } else {
    const request = request_id === undefined ? '' : `, request ${plain(request_id)}`
    // One error says it all in its sentence; several stand below one another.
    const isList = errors.length > 1
    const what = isList && code === 'validation_failed' ? 'The request is not valid' : message
    note(`✗ ${what.split('\n').map(plain).join('\n')} (${plain(code)}${request})`)
    if (isList) note(fieldLines(errors, process.stderr.columns).join('\n'))
    if (suggestion !== undefined) note(`→ ${plain(suggestion)}`)
  }
  return failure.exit
}

/** Settings, databases and ports: their errors were written for the operator. Anything else is a defect of ours. */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error
  return new Failure(EXIT.failed, fileErrorMessage(error) ?? (error instanceof Error ? error.message : String(error)))
}
