/** What stands between two columns. */
export const GAP = '  '
/** As narrow as a column is made as long as another can be left out. */
const READABLE = 22
const NARROWEST = 8

/** A table before it is laid out: what each column shows, its title first. */
export interface Columns {
  names: readonly string[]
  /** Display columns that each needs for all that it shows. */
  widths: readonly number[]
}

/**
 * Columns that fit a terminal. Where there is no room the widest are cut, then the ones that say least are left out, and
 * only then are the others cut further; the first, by which a row is named, last of all.
 * @param leave which to leave out next of those named; undefined where none may go
 */
export function fitted(
  { names, widths }: Columns,
  columns: number,
  leave: (names: readonly string[]) => string | undefined,
): { names: string[]; widths: number[] } {
  let left = names.map((name, at) => ({ name, width: widths[at] ?? 0 }))
  for (;;) {
    const shrunk = shrink(left, columns, READABLE)
    if (shrunk) return parted(shrunk)
    const name = leave(left.map((column) => column.name))
    if (name === undefined) break
    left = left.filter((column) => column.name !== name)
  }
  return parted(shrink(left, columns, NARROWEST) ?? shrink(left, columns, NARROWEST, 0) ?? left)
}

interface Column {
  name: string
  width: number
}

/** Takes from the widest columns what there is no room for, down to `least` each; undefined: that is not enough. */
function shrink(columns: readonly Column[], room: number, least: number, first = 1): Column[] | undefined {
  const widths = columns.map(({ width }) => width)
  const all = room - GAP.length * (widths.length - 1)
  for (let over = widths.reduce((sum, width) => sum + width, 0) - all; over > 0; over--) {
    const widest = Math.max(...widths.slice(first))
    if (!(widest > least)) return undefined
    widths[widths.indexOf(widest, first)] = widest - 1
  }
  return columns.map((column, at) => ({ ...column, width: widths[at] ?? 0 }))
}

function parted(columns: readonly Column[]): { names: string[]; widths: number[] } {
  return { names: columns.map(({ name }) => name), widths: columns.map(({ width }) => width) }
}

const graphemes = new Intl.Segmenter()

/** A text as wide as its column: what is too long is cut between two characters, which an ellipsis shows. */
export function padded(text: string, width: number): string {
  let shown = text
  if (Bun.stringWidth(text) > width) {
    shown = ''
    for (const { segment } of graphemes.segment(text)) {
      if (Bun.stringWidth(shown + segment) >= width) break
      shown += segment
    }
    shown += '…'
  }
  return shown + ' '.repeat(Math.max(0, width - Bun.stringWidth(shown)))
}

/** The lines of a text that is no wider than `width`, parted at blanks alone: a longer word stays whole. */
export function wrapped(text: string, width: number): string[] {
  if (Bun.stringWidth(text) <= width) return [text]
  return Bun.wrapAnsi(text, Math.max(1, width), { hard: false, wordWrap: true, trim: true }).split('\n')
}
