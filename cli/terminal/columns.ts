/** The space between two columns. */
export const GAP = '  '
/** Minimum width of a column while another column can still be dropped. */
const READABLE_WIDTH = 22
const MIN_WIDTH = 8

/** The columns of a table before it is fitted to the terminal. */
export interface Columns {
  names: readonly string[]
  /** Width of each column without cutting, in display columns. */
  widths: readonly number[]
}

/**
 * Fits columns into a terminal. The widest columns are cut first, then the least important columns are dropped, and only
 * then are the others cut further. The first column, which identifies the row, is cut last.
 * @param chooseToDrop gives the column to drop next; undefined if none may be dropped
 */
export function fitColumns(
  { names, widths }: Columns,
  columns: number,
  chooseToDrop: (names: readonly string[]) => string | undefined,
): { names: string[]; widths: number[] } {
  let remaining = names.map((name, at) => ({ name, width: widths[at] ?? 0 }))
  for (;;) {
    const result = shrink(remaining, columns, READABLE_WIDTH)
    if (result) return namesAndWidths(result)
    const name = chooseToDrop(remaining.map((column) => column.name))
    if (name === undefined) break
    remaining = remaining.filter((column) => column.name !== name)
  }
  return namesAndWidths(shrink(remaining, columns, MIN_WIDTH) ?? shrink(remaining, columns, MIN_WIDTH, 0) ?? remaining)
}

interface Column {
  name: string
  width: number
}

/**
 * Narrows the widest columns until all fit, to `minWidth` at least.
 * @param first the index of the first column that may be narrowed
 * @returns undefined if they still do not fit
 */
function shrink(columns: readonly Column[], room: number, minWidth: number, first = 1): Column[] | undefined {
  const widths = columns.map(({ width }) => width)
  const available = room - GAP.length * (widths.length - 1)
  for (let excess = widths.reduce((sum, width) => sum + width, 0) - available; excess > 0; excess--) {
    const widest = Math.max(...widths.slice(first))
    if (!(widest > minWidth)) return undefined
    widths[widths.indexOf(widest, first)] = widest - 1
  }
  return columns.map((column, at) => ({ ...column, width: widths[at] ?? 0 }))
}

function namesAndWidths(columns: readonly Column[]): { names: string[]; widths: number[] } {
  return { names: columns.map(({ name }) => name), widths: columns.map(({ width }) => width) }
}

/** Made by the first text that is cut: it takes 1.3 MB. */
let graphemes: Intl.Segmenter | undefined

/** Pads a text to the width of its column, or cuts it between two graphemes with an ellipsis. */
export function pad(text: string, width: number): string {
  let visible = text
  if (Bun.stringWidth(text) > width) {
    visible = ''
    graphemes ??= new Intl.Segmenter()
    for (const { segment } of graphemes.segment(text)) {
      if (Bun.stringWidth(visible + segment) >= width) break
      visible += segment
    }
    visible += '…'
  }
  return visible + ' '.repeat(Math.max(0, width - Bun.stringWidth(visible)))
}

/** Wraps a text at spaces to lines of `width` display columns; a longer word stays whole. */
export function wrap(text: string, width: number): string[] {
  if (Bun.stringWidth(text) <= width) return [text]
  return Bun.wrapAnsi(text, Math.max(1, width), { hard: false, wordWrap: true, trim: true }).split('\n')
}
