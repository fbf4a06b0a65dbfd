import { usage } from '../exit.ts'
import { cell, csvLines, jsonOf } from './cells.ts'
import { GAP, wrap } from './columns.ts'
import { asFailure, failureFields } from './failures.ts'
import type { Output } from './formats.ts'
import { type OmitEqual, type Row, Table } from './table.ts'
import { colored, count, note, plain, width as terminalWidth, write } from './terminal.ts'

/** A page of a list, as the API returns it. */
export interface ListPage {
  items: Row[]
  total: number | null
  next_cursor: string | null
}

export interface OutputOptions {
  output: Output
  /** The fields to show (`--fields`), in their order. */
  fields?: string[] | undefined
  color: boolean
  quiet: boolean
  /** Whether the user named a format or fields: then `quiet` prints data too. */
  chosen?: boolean
  /** Start CSV with a byte order mark. */
  bom: boolean
  /** Show all columns of a table without cutting them. */
  wide?: boolean
}

export const BOM = '\ufeff'

/** Columns of a short list that are shown even if their value is the same in every row. */
const ALWAYS_SHOWN = ['status', 'state', 'enabled', 'available', 'value', 'verified_at', 'message']

/** Secrets that no later command shows. */
const SHOWN_ONCE = ['password', 'client_secret', 'secret']

/** States of a check that are no failure. */
const NOT_FAILED = ['ok', 'skipped', 'warning']

/** Fields that identify a row, best first. */
const ID_FIELDS = ['id', 'kid', 'user_id', 'name', 'ref', 'service']

/** Prints the results of a command in the chosen format: data on standard output, everything else on standard error. */
export class Printer {
  private header = true
  /** The columns of a CSV, the same for the whole list. */
  private names: readonly string[] | undefined
  private table: Table | undefined

  constructor(readonly options: OutputOptions) {}

  get json(): boolean {
    return this.options.output === 'json' || this.options.output === 'jsonl'
  }

  /** Whether nothing but errors is printed. */
  get silent(): boolean {
    return this.options.quiet && !this.options.chosen
  }

  /** Prints one record. */
  async record(record: Row): Promise<void> {
    // A secret that is shown once is never lost.
    if (this.silent && !SHOWN_ONCE.some((name) => name in record)) return
    const { output } = this.options
    const picked = this.pick(record)
    if (this.json) return write(jsonOf(picked))
    if (output === 'ids') return write(plain(idOf(record)))
    if (output === 'csv') return write(this.bom + csvLines([picked], Object.keys(picked), true))
    const names = Object.keys(picked)
    const width = Math.max(0, ...names.map((name) => name.length))
    const room = this.options.wide ? undefined : terminalWidth(process.stdout)
    const lines = (name: string) => {
      const text = cell(picked[name])
      const [first = '', ...more] = room === undefined ? [text] : wrap(text, room - width - GAP.length)
      const indent = ' '.repeat(width + GAP.length)
      return [`${this.faint(name.padEnd(width))}${GAP}${first}`.trimEnd(), ...more.map((line) => indent + line)]
    }
    await write(names.flatMap(lines).join('\n'))
  }

  /**
   * Reports what a command did if the API returns nothing.
   * @param message for people, on standard error
   */
  async done(changed: boolean, message: string, more: Row = {}): Promise<void> {
    if (this.json) return write(jsonOf({ ok: true, ...more, changed }))
    this.say(`${changed ? '✓ ' : ''}${message}`)
  }

  /** Prints a remark for people on standard error. */
  say(text: string): void {
    if (!this.options.quiet && !this.json) note(text)
  }

  /**
   * Prints a complete list.
   * @param columns the columns of a table; the other formats have all fields
   * @param options `omitEqual`, `chosen`: as for `rows`; `more`: fields of JSON after the items
   */
  async list(
    items: readonly Row[],
    columns: readonly string[],
    {
      omitEqual = ALWAYS_SHOWN,
      chosen = false,
      more = {},
    }: { omitEqual?: OmitEqual; chosen?: boolean; more?: Row } = {},
  ): Promise<void> {
    if (this.options.output === 'json') return write(jsonOf({ items: items.map((item) => this.pick(item)), ...more }))
    await this.rows(items, columns, { omitEqual, chosen })
    this.suggestWide()
  }

  /** Prints a list of checks; JSON starts with `ok`. Of a silent command only those that failed, on standard error. */
  async checks(ok: boolean, items: readonly Row[], columns: readonly string[]): Promise<void> {
    if (this.silent) {
      for (const { address, id, message, service, status } of items) {
        if (NOT_FAILED.includes(String(status))) continue
        const name = [service ?? id, address].filter(Boolean).join(' at ')
        note(`✗ ${plain(`${name}: ${message}`)}`)
      }
      return
    }
    if (this.options.output === 'json') return write(jsonOf({ ok, items: items.map((item) => this.pick(item)) }))
    await this.rows(items, columns)
  }

  /** Prints a page of a list and, if there are more, the command for the next page. */
  async page(page: ListPage, columns: readonly string[], next: (cursor: string) => string): Promise<void> {
    if (this.options.output === 'json')
      await write(jsonOf({ ...page, items: page.items.map((item) => this.pick(item)) }))
    else await this.rows(page.items, columns, { omitEqual: 'any' })
    this.suggestWide()
    if (page.next_cursor === null || this.options.quiet) return
    const of = page.total === null ? ', there are more' : ` of ${count(page.total)}`
    note(`${count(page.items.length)}${of}\n→ ${plain(next(page.next_cursor))}`)
  }

  /** Prints a list of any length, holding one page in memory at a time. */
  async allPages(pages: AsyncIterable<ListPage>, columns: readonly string[]): Promise<void> {
    if (this.options.output !== 'json') {
      // Later pages may differ in a column that is the same in all rows of this page.
      for await (const page of pages)
        await this.rows(page.items, columns, { omitEqual: page.next_cursor === null ? 'any' : 'none' })
      this.suggestWide()
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
   * Prints a list of any length as one JSON value. If it fails midway, the value is closed with the error after the items.
   * @param parts items as JSON @param more fields after the items, computed at the end
   */
  async items(parts: AsyncIterable<readonly string[]>, more: () => Row = () => ({})): Promise<void> {
    let started = false
    const end = (beside: Row) => {
      const rest = Object.entries(beside).map(([name, value]) => `,${JSON.stringify(name)}:${jsonOf(value)}`)
      return write(`${started ? '' : '{"items":['}]${rest.join('')}}`)
    }
    try {
      for await (const items of parts) {
        if (items.length === 0) continue
        await write(`${started ? ',' : '{"items":['}${items.join(',\n')}`)
        started = true
      }
    } catch (error) {
      if (!started) throw error
      const failure = asFailure(error)
      process.exitCode = failure.exit
      return end({ ok: false, error: failureFields(failure) })
    }
    await end(more())
  }

  /**
   * Prints rows of a list; the first call prints the header.
   * @param options `omitEqual`: columns to drop if their value is the same in every row; `live`: rows arrive one by one;
   * `chosen`: the user asked for these columns, so they are cut rather than dropped
   */
  async rows(
    rows: readonly Row[],
    columns: readonly string[],
    {
      omitEqual = 'none',
      live = false,
      chosen = false,
    }: { omitEqual?: OmitEqual; live?: boolean; chosen?: boolean } = {},
  ): Promise<void> {
    const { fields, output, wide = false } = this.options
    if (rows.length === 0 || this.silent) return
    const first = this.header
    this.header = false
    if (output === 'jsonl' || output === 'json') return write(rows.map((row) => jsonOf(this.pick(row))).join('\n'))
    if (output === 'ids') return write(rows.map((row) => plain(idOf(row))).join('\n'))
    const picked = rows.map((row) => this.pick(row))
    if (output === 'csv') {
      // The columns are known only from the first row.
      this.names ??= fields ?? (picked[0] && Object.keys(picked[0]))
      return write((first ? this.bom : '') + csvLines(picked, this.names ?? [], first))
    }
    this.table ??= new Table({
      columns: terminalWidth(process.stdout),
      wide,
      fieldsChosen: chosen || fields !== undefined,
      omitEqual,
      live,
    })
    await write(this.table.lines(picked, fields ?? columns, (text) => this.faint(text)).join('\n'))
  }

  private suggestWide(): void {
    if (this.table?.lacksRoom) this.say('→ --wide shows every column')
  }

  private get bom(): string {
    return this.options.bom ? BOM : ''
  }

  private pick(record: Row): Row {
    const { fields } = this.options
    if (!fields) return record
    const unknown = fields.find((name) => !(name in record))
    if (unknown !== undefined)
      throw usage(`There is no field ${plain(unknown)}: the fields are ${Object.keys(record).join(', ')}`)
    return Object.fromEntries(fields.map((name) => [name, record[name]]))
  }

  private faint(text: string): string {
    return colored(process.stdout, this.options.color) ? `\x1b[2m${text}\x1b[0m` : text
  }
}

function idOf(row: Row): string {
  const name = ID_FIELDS.find((candidate) => candidate in row)
  return name === undefined ? '' : String(row[name] ?? '')
}
