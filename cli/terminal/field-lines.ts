import type { FieldError } from '../../services/kit/field-errors.ts'
import { GAP, pad } from './columns.ts'
import { plain } from './terminal.ts'

const INDENT = '    '

/**
 * Formats field errors in two columns.
 * @param columns width of the terminal; undefined without a terminal
 */
export function fieldLines(errors: readonly FieldError[], columns: number | undefined): string[] {
  const width = Math.max(...errors.map(({ field }) => Bun.stringWidth(plain(field))))
  const room = columns === undefined ? undefined : columns - INDENT.length - width - GAP.length
  return errors.flatMap(({ field, message }) =>
    wrapWords(plain(message), room).map(
      (line, index) => `${INDENT}${pad(index === 0 ? plain(field) : '', width)}${GAP}${line}`,
    ),
  )
}

/** Wraps a sentence to `width`, except for longer words; one line without a width. */
function wrapWords(text: string, width: number | undefined): string[] {
  if (width === undefined) return [text]
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const longer = lines.length === 0 ? word : `${lines.at(-1)} ${word}`
    if (lines.length > 0 && Bun.stringWidth(longer) <= width) lines[lines.length - 1] = longer
    else lines.push(word)
  }
  return lines
}
