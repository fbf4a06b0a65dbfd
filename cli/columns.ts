/** What stands between two columns. */
export const GAP = '  '
const NARROWEST = 8

/** Takes from the widest columns what the terminal has no room for; the first, by which a row is named, stays whole. */
export function fit(widths: number[], columns: number | undefined): void {
  const room = (columns ?? 80) - GAP.length * (widths.length - 1)
  for (let over = widths.reduce((sum, width) => sum + width, 0) - room; over > 0; over--) {
    const widest = Math.max(...widths.slice(1))
    if (widest <= NARROWEST) return
    widths[widths.indexOf(widest, 1)] = widest - 1
  }
}

/** A text as wide as its column: what is too long is cut, which an ellipsis shows. */
export function padded(text: string, width: number): string {
  let shown = text
  if (Bun.stringWidth(text) > width) {
    shown = ''
    for (const character of text) {
      if (Bun.stringWidth(shown + character) >= width) break
      shown += character
    }
    shown += '…'
  }
  return shown + ' '.repeat(Math.max(0, width - Bun.stringWidth(shown)))
}
