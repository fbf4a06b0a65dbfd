import { cell } from './cells.ts'
import { fitColumns, GAP, pad, wrap } from './columns.ts'
import { relativeTime, toTheSecond } from './times.ts'

/** One record of a list. */
export type Row = Record<string, unknown>

/** How a table is laid out. */
export interface TableLayout {
  /** Width of the terminal in display columns; undefined for a pipe or file, where nothing is shortened or dropped. */
  columns: number | undefined
  /** Show all columns without cutting them. */
  wide: boolean
  /** The user chose the columns, with `--fields` or otherwise, so all of them are shown. */
  fieldsChosen: boolean
  /** Columns that may be dropped if every row has the same value: any, none, or all but these. */
  omitEqual: OmitEqual
  /** Rows arrive one by one, so a relative time would soon be wrong. */
  live: boolean
}

export type OmitEqual = 'any' | 'none' | readonly string[]

/** Columns to drop first if there is no room. After these the last columns are dropped, and a message only after all others. */
const LEAST_IMPORTANT =
  'updated_at email_verified has_password user_agent created_at username password_version version uptime_s detail description ip roles latency_ms'.split(
    ' ',
  )
/** Columns with sentences: as the last column they are wrapped, not cut. */
const PROSE = ['message', 'fault', 'description']
/** Minimum width of a wrapped column. */
const PROSE_MIN = 20
const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi
const ID_LENGTH = 36
const WHOLE_ID = [0, ID_LENGTH] as const
/** Lengths of a shortened id; the first that makes the ids of the first rows distinct is used. */
const ID_PARTS = [8, 12]
/** The thumbprint of a key (RFC 7638). */
const THUMBPRINT = /^[\w-]{35}([\w-]{8})$/

/** Aligns the rows of a list. The first rows decide which columns there are; later rows keep to them. */
export class Table {
  private names: readonly string[] | undefined
  private compact = false
  private idPart: readonly [from: number, to: number] = WHOLE_ID
  private readonly widths = new Map<string, number>()
  /** Whether a column was dropped because it did not fit. */
  lacksRoom = false

  constructor(
    private readonly layout: TableLayout,
    private readonly now = Date.now(),
  ) {}

  /** @param faint dims the header @returns lines, on a terminal starting with the header */
  lines(rows: readonly Row[], columns: readonly string[], faint: (text: string) => string): string[] {
    const isFirst = this.names === undefined
    const names = this.names ?? this.chooseColumns(rows, columns)
    if (!isFirst) this.measure(rows, names)
    this.refit(names)
    const titles = names.map((name) => this.title(name))
    const header = isFirst && this.layout.columns !== undefined ? [faint(this.line(names, titles))] : []
    return [...header, ...rows.flatMap((row) => this.rowLines(row, names))]
  }

  /** Decides which columns are shown, and whether values are shortened. */
  private chooseColumns(rows: readonly Row[], columns: readonly string[]): readonly string[] {
    const { fieldsChosen, wide } = this.layout
    let names = fieldsChosen || wide ? columns : this.withoutEqual(rows, columns)
    this.measure(rows, names)
    if (this.room !== undefined && !this.fits(names)) {
      this.compact = true
      this.idPart = distinctPart(rows.flatMap((row) => names.flatMap((name) => cell(row[name]).match(UUID) ?? [])))
      this.widths.clear()
      this.measure(rows, names)
      const fitting = this.fit(names, fieldsChosen ? () => undefined : leastImportant)
      this.lacksRoom = fitting.names.length < names.length
      names = fitting.names
    }
    this.names = names
    return names
  }

  /** Drops columns whose value is the same in every row, except the first, which identifies the row. */
  private withoutEqual(rows: readonly Row[], columns: readonly string[]): readonly string[] {
    const { omitEqual } = this.layout
    if (omitEqual === 'none' || rows.length < 2 || this.layout.columns === undefined) return columns
    const [first = {}] = rows
    const isSame = (name: string) => rows.every((row) => cell(row[name]) === cell(first[name]))
    const alwaysShown = omitEqual === 'any' ? [] : omitEqual
    return columns.filter((name, at) => at === 0 || alwaysShown.includes(name) || !isSame(name))
  }

  private measure(rows: readonly Row[], names: readonly string[]): void {
    for (const name of names) {
      const least = this.layout.columns === undefined ? 0 : Bun.stringWidth(this.title(name))
      const width = rows.reduce((most, row) => Math.max(most, Bun.stringWidth(this.text(row, name))), least)
      this.widths.set(name, Math.max(this.widths.get(name) ?? 0, width))
    }
  }

  /** Available width; undefined if not limited. */
  private get room(): number | undefined {
    return this.layout.wide ? undefined : this.layout.columns
  }

  private fits(names: readonly string[]): boolean {
    const all = names.reduce((sum, name) => sum + this.neededWidth(name, names), 0) + GAP.length * (names.length - 1)
    return all <= (this.room ?? Number.POSITIVE_INFINITY)
  }

  /** Width that a column needs; a last column of sentences can be wrapped and needs less. */
  private neededWidth(name: string, names: readonly string[]): number {
    const width = this.widths.get(name) ?? 0
    return this.isProse(name, names) ? Math.min(width, PROSE_MIN) : width
  }

  private isProse(name: string, names: readonly string[]): boolean {
    return this.room !== undefined && name === names.at(-1) && PROSE.includes(name)
  }

  private fit(names: readonly string[], chooseToDrop: (names: readonly string[]) => string | undefined) {
    return fitColumns(
      { names, widths: names.map((name) => this.neededWidth(name, names)) },
      this.room ?? 0,
      chooseToDrop,
    )
  }

  /** Cuts wider values in later rows. */
  private refit(names: readonly string[]): void {
    if (this.room === undefined) return
    const { widths } = this.fit(names, () => undefined)
    for (const [at, name] of names.entries()) this.widths.set(name, widths[at] ?? 0)
    const last = names.at(-1)
    if (last !== undefined && this.isProse(last, names))
      this.widths.set(last, Math.max(PROSE_MIN, this.room - this.widthBefore(last, names)))
  }

  /** Width of the columns before the last one. */
  private widthBefore(last: string, names: readonly string[]): number {
    return names.reduce((sum, name) => (name === last ? sum : sum + (this.widths.get(name) ?? 0) + GAP.length), 0)
  }

  private rowLines(row: Row, names: readonly string[]): string[] {
    const texts = names.map((name) => this.text(row, name))
    const last = names.at(-1)
    if (last === undefined || !this.isProse(last, names)) return [this.line(names, texts)]
    const [first = '', ...more] = wrap(texts.at(-1) ?? '', this.widths.get(last) ?? 0)
    const indent = ' '.repeat(this.widthBefore(last, names))
    return [this.line(names, [...texts.slice(0, -1), first]), ...more.map((text) => indent + text)]
  }

  private line(names: readonly string[], texts: readonly string[]): string {
    return names
      .map((name, at) => pad(texts[at] ?? '', this.widths.get(name) ?? 0))
      .join(GAP)
      .trimEnd()
  }

  private title(name: string): string {
    // `created_at` becomes `created` next to a relative time.
    const short = this.compact && !this.layout.live ? name.replace(/_at$/, '') : name
    return short.replaceAll('_', ' ').toUpperCase()
  }

  private text(row: Row, name: string): string {
    const text = cell(row[name])
    if (this.layout.columns === undefined) return text
    if (!this.compact) return toTheSecond(text)
    return shortenIds(this.layout.live ? toTheSecond(text) : relativeTime(text, this.now), this.idPart)
  }
}

/** Shortens ids to a distinct part: ids of the same time start alike, ids of the same import end alike. */
function shortenIds(text: string, [from, to]: readonly [number, number]): string {
  const part = (id: string) => `${from > 0 ? '…' : ''}${id.slice(from, to)}${to < ID_LENGTH ? '…' : ''}`
  return text.replace(THUMBPRINT, '…$1').replaceAll(UUID, part)
}

/** Finds the last part of ids in which all of them differ. */
function distinctPart(ids: readonly string[]): readonly [from: number, to: number] {
  const uniqueIds = [...new Set(ids)]
  for (const length of ID_PARTS)
    for (let to = ID_LENGTH; to >= length; to--) {
      const parts = new Set(uniqueIds.map((id) => id.slice(to - length, to)))
      if (parts.size === uniqueIds.length) return [to - length, to]
    }
  return WHOLE_ID
}

/** The column to drop next; undefined if only the first and one other are left. */
function leastImportant(names: readonly string[]): string | undefined {
  const others = names.slice(1)
  if (others.length < 2) return undefined
  return (
    LEAST_IMPORTANT.find((name) => others.includes(name)) ??
    others.findLast((name) => !PROSE.includes(name)) ??
    others.at(-1)
  )
}
