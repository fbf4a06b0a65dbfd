// biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII begins with them
const ASCII = /^[\u0000-\u007f]*$/

/**
 * Folds a text for searches, so that different spellings match. These become equal:
 * - upper and lower case, by Unicode's full case folding (The Unicode Standard, 3.13): `ß` and `SS`, `ﬁ` and `FI`, `σ`
 *   and `ς`, Georgian, Cherokee and Deseret too;
 * - the i letters of Turkish: `I`, `ı`, `İ` and `i` (a search has no language);
 * - composed and decomposed letters (Unicode Standard Annex #15, NFC);
 * - Russian `ё` and `е`.
 *
 * Other letters with marks stay distinct: `й` is not `и`, `é` is not `e`. Folding is idempotent, and its cost is linear.
 *
 * @example foldForSearch('ПЁТР') === foldForSearch('петр')
 */
export function foldForSearch(text: string): string {
  if (ASCII.test(text)) return text.toLowerCase()
  return (
    text
      .normalize('NFC')
      // Three steps, because ẞ has no other upper case, while ß becomes two letters.
      .toLowerCase()
      .toUpperCase()
      .toLowerCase()
      .replaceAll('ς', 'σ')
      .replaceAll('i\u0307', 'i')
      .normalize('NFC')
      .replaceAll('ё', 'е')
      // Another mark may now combine with the letter.
      .normalize('NFC')
  )
}

/**
 * The text of a record that searches look through: its folded fields, one line each, without duplicates. A search has no
 * line break, so it matches within one field.
 * @param fields null for a field that the record does not have
 */
export function searchTextOf(...fields: (string | null)[]): string {
  return [...new Set(fields.flatMap((field) => (field === null ? [] : foldForSearch(field))))].join('\n')
}
