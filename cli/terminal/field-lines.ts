import type { FieldError } from '../../services/kit/field-errors.ts'
import { GAP, padded } from './columns.ts'
import { plain } from './terminal.ts'

const INDENT = '    '

/**
 * Errors of fields in two columns.
 * @param columns of the terminal, which a line is no wider than; undefined where there is none
 */
export function fieldLines(errors: readonly FieldError[], columns: number | undefined): string[] {
  const width = Math.max(...errors.map(({ field }) => Bun.stringWidth(plain(field))))
  const room = columns === undefined ? undefined : columns - INDENT.length - width - GAP.length
  return errors.flatMap(({ field, message }) =>
    wrapped(plain(message), room).map(
      (line, index) => `${INDENT}${padded(index === 0 ? plain(field) : '', width)}${GAP}${line}`,
    ),
  )
}

/** A sentence in lines of at most `width`, unless a word is longer; one line where the width is not known. */
function wrapped(text: string, width: number | undefined): string[] {
  if (width === undefined) return [text]
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const longer = lines.length === 0 ? word : `${lines.at(-1)} ${word}`
    if (lines.length > 0 && Bun.stringWidth(longer) <= width) lines[lines.length - 1] = longer
    else lines.push(word)
  }
  return lines
}
