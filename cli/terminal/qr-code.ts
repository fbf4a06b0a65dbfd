import { colored, width } from './terminal.ts'

/** White on black, whatever the colors of the terminal: an app may not read the reverse. */
const WHITE_ON_BLACK = '\x1b[97;40m'

/**
 * Draws a QR code for a terminal.
 * @returns undefined if the terminal is too narrow for it, or the text too long
 */
export async function qrCode(text: string, stream: NodeJS.WriteStream): Promise<string | undefined> {
  const { renderUnicodeCompact } = await import('uqr')
  let lines: string[]
  try {
    lines = renderUnicodeCompact(text, { ecc: 'L', border: 2 }).split('\n')
  } catch {
    return undefined
  }
  if ((lines[0] ?? '').length > (width(stream) ?? 0)) return undefined
  return lines.map((line) => (colored(stream, true) ? `${WHITE_ON_BLACK}${line}\x1b[0m` : line)).join('\n')
}
