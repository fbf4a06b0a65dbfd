import { cell } from './cells.ts'
import { fitted, GAP, padded, wrapped } from './columns.ts'
import { aged, toTheSecond } from './times.ts'

/** One record of a list. */
export type Row = Record<string, unknown>

/** What a table is laid out for. */
export interface Paper {
  /** Display columns of the terminal; undefined: it is none, and nothing is shortened, cut or left out. */
  columns: number | undefined
  /** All columns, and all of each. */
  wide: boolean
  /** Columns that were asked for by name: all are shown. */
  chosen: boolean
  /** Which may be left out where every row has the same: any, none, or all but these. */
  alike: Alike
  /** Rows come one by one: how long ago each was is true for a moment alone. */
  live: boolean
}

export type Alike = 'any' | 'none' | readonly string[]

/** What says least, and is left out first where there is no room. After these go the last columns. */
const MINOR =
  'updated_at email_verified has_password user_agent created_at username password_version version uptime_s detail description ip roles'.split(
    ' ',
  )
/** Sentences: as the last column they go on below, and are not cut. */
const PROSE = ['message', 'fault', 'description']
const PROSE_LEAST = 20
const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi
const ID_LENGTH = 36
const WHOLE = [0, ID_LENGTH] as const
/** How many characters of an id are shown: as few as tell the ids of the first rows apart. */
const ID_PARTS = [8, 12]
/** The thumbprint of a key (RFC 7638). */
const THUMBPRINT = /^[\w-]{35}([\w-]{8})$/

/** Rows of a list, aligned. The first rows settle which columns there are; later ones keep to them. */
export class Table {
  private names: readonly string[] | undefined
  private compact = false
  private idPart: readonly [from: number, to: number] = WHOLE
  private readonly widths = new Map<string, number>()
  /** Whether a column had no room. */
  lacksRoom = false

  constructor(
    private readonly paper: Paper,
    private readonly now = Date.now(),
  ) {}

  /** @param faint makes the header stand back @returns lines, the first of them the header on a terminal */
  lines(rows: readonly Row[], columns: readonly string[], faint: (text: string) => string): string[] {
    const isFirst = this.names === undefined
    const names = this.names ?? this.settle(rows, columns)
    if (!isFirst) this.measure(rows, names)
    this.refit(names)
    const titles = names.map((name) => this.title(name))
    const header = isFirst && this.paper.columns !== undefined ? [faint(this.line(names, titles))] : []
    return [...header, ...rows.flatMap((row) => this.rowLines(row, names))]
  }

  /** Which columns there are, in what form. */
  private settle(rows: readonly Row[], columns: readonly string[]): readonly string[] {
    const { chosen, wide } = this.paper
    let names = chosen || wide ? columns : this.different(rows, columns)
    this.measure(rows, names)
    if (this.room !== undefined && !this.fits(names)) {
      this.compact = true
      this.idPart = distinctPart(rows.flatMap((row) => names.flatMap((name) => cell(row[name]).match(UUID) ?? [])))
      this.widths.clear()
      this.measure(rows, names)
      const shown = this.fit(names, chosen ? () => undefined : leastOf)
      this.lacksRoom = shown.names.length < names.length
      names = shown.names
    }
    this.names = names
    return names
  }

  /** Without those in which every row says the same. The first names the row. */
  private different(rows: readonly Row[], columns: readonly string[]): readonly string[] {
    const { alike } = this.paper
    if (alike === 'none' || rows.length < 2 || this.paper.columns === undefined) return columns
    const [one = {}] = rows
    const isSame = (name: string) => rows.every((row) => cell(row[name]) === cell(one[name]))
    const kept = alike === 'any' ? [] : alike
    return columns.filter((name, at) => at === 0 || kept.includes(name) || !isSame(name))
  }

  private measure(rows: readonly Row[], names: readonly string[]): void {
    for (const name of names) {
      const least = this.paper.columns === undefined ? 0 : Bun.stringWidth(this.title(name))
      const width = rows.reduce((most, row) => Math.max(most, Bun.stringWidth(this.text(row, name))), least)
      this.widths.set(name, Math.max(this.widths.get(name) ?? 0, width))
    }
  }

  /** Undefined: as much as there is. */
  private get room(): number | undefined {
    return this.paper.wide ? undefined : this.paper.columns
  }

  private fits(names: readonly string[]): boolean {
    const all = names.reduce((sum, name) => sum + this.needed(name, names), 0) + GAP.length * (names.length - 1)
    return all <= (this.room ?? Number.POSITIVE_INFINITY)
  }

  /** Of a last column of sentences no more than it takes to read them. */
  private needed(name: string, names: readonly string[]): number {
    const width = this.widths.get(name) ?? 0
    return this.isProse(name, names) ? Math.min(width, PROSE_LEAST) : width
  }

  private isProse(name: string, names: readonly string[]): boolean {
    return this.room !== undefined && name === names.at(-1) && PROSE.includes(name)
  }

  private fit(names: readonly string[], leave: (names: readonly string[]) => string | undefined) {
    return fitted({ names, widths: names.map((name) => this.needed(name, names)) }, this.room ?? 0, leave)
  }

  /** What rows that came later need more of is cut. */
  private refit(names: readonly string[]): void {
    if (this.room === undefined) return
    const { widths } = this.fit(names, () => undefined)
    for (const [at, name] of names.entries()) this.widths.set(name, widths[at] ?? 0)
    const last = names.at(-1)
    if (last !== undefined && this.isProse(last, names))
      this.widths.set(last, Math.max(PROSE_LEAST, this.room - this.before(last, names)))
  }

  /** Display columns in front of the last one. */
  private before(last: string, names: readonly string[]): number {
    return names.reduce((sum, name) => (name === last ? sum : sum + (this.widths.get(name) ?? 0) + GAP.length), 0)
  }

  private rowLines(row: Row, names: readonly string[]): string[] {
    const texts = names.map((name) => this.text(row, name))
    const last = names.at(-1)
    if (last === undefined || !this.isProse(last, names)) return [this.line(names, texts)]
    const [first = '', ...more] = wrapped(texts.at(-1) ?? '', this.widths.get(last) ?? 0)
    const indent = ' '.repeat(this.before(last, names))
    return [this.line(names, [...texts.slice(0, -1), first]), ...more.map((text) => indent + text)]
  }

  private line(names: readonly string[], texts: readonly string[]): string {
    return names
      .map((name, at) => padded(texts[at] ?? '', this.widths.get(name) ?? 0))
      .join(GAP)
      .trimEnd()
  }

  private title(name: string): string {
    // `created` is enough where it says how long ago.
    const short = this.compact && !this.paper.live ? name.replace(/_at$/, '') : name
    return short.replaceAll('_', ' ').toUpperCase()
  }

  private text(row: Row, name: string): string {
    const text = cell(row[name])
    if (this.paper.columns === undefined) return text
    if (!this.compact) return toTheSecond(text)
    return shortened(this.paper.live ? toTheSecond(text) : aged(text, this.now), this.idPart)
  }
}

/** Ids by a part of each: those of one time begin alike, and those of one import end alike. */
function shortened(text: string, [from, to]: readonly [number, number]): string {
  const part = (id: string) => `${from > 0 ? '…' : ''}${id.slice(from, to)}${to < ID_LENGTH ? '…' : ''}`
  return text.replace(THUMBPRINT, '…$1').replaceAll(UUID, part)
}

/** The last part of some ids that is another in each of them. */
function distinctPart(ids: readonly string[]): readonly [from: number, to: number] {
  const whole = [...new Set(ids)]
  for (const length of ID_PARTS)
    for (let to = ID_LENGTH; to >= length; to--) {
      const parts = new Set(whole.map((id) => id.slice(to - length, to)))
      if (parts.size === whole.length) return [to - length, to]
    }
  return WHOLE
}

function leastOf(names: readonly string[]): string | undefined {
  const others = names.slice(1)
  if (others.length < 2) return undefined
  return MINOR.find((name) => others.includes(name)) ?? others.at(-1)
}
