/**
 * Gives a text as PostgreSQL stores it: it refuses NUL, and half a surrogate pair in JSON. Both become the character for an
 * unknown one. Requests with such a text are refused before; a text to look up may have them, and is in no row.
 */
export function storableText(text: string): string {
  return (text.includes('\0') ? text.replaceAll('\0', '\ufffd') : text).toWellFormed()
}
