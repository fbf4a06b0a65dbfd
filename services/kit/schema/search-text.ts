// biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII begins with them
const ASCII = /^[\u0000-\u007f]*$/

/**
 * Folds a text so that a search finds it however it is written. Alike become:
 * - upper and lower case, by Unicode's full case folding (The Unicode Standard, 3.13): `ß` and `SS`, `ﬁ` and `FI`, `σ`
 *   and `ς`, Georgian, Cherokee and Deseret too;
 * - the letters i of Turkish: `I`, `ı`, `İ` and `i` (a search knows no language);
 * - composed and decomposed letters (Unicode Standard Annex #15, NFC);
 * - Russian `ё` and `е`.
 *
 * Other letters with marks stay apart from those without: `й` is not `и`, `é` is not `e`. Folding twice changes nothing.
 * The cost is linear in the length of the text.
 *
 * @example foldForSearch('ПЁТР') === foldForSearch('петр')
 */
export function foldForSearch(text: string): string {
  if (ASCII.test(text)) return text.toLowerCase()
  return (
    text
      .normalize('NFC')
      // There and back: a capital ẞ has no other capital, a small ß has two.
      .toLowerCase()
      .toUpperCase()
      .toLowerCase()
      .replaceAll('ς', 'σ')
      .replaceAll('i\u0307', 'i')
      .normalize('NFC')
      .replaceAll('ё', 'е')
      // A further mark may now join the letter.
      .normalize('NFC')
  )
}

/**
 * The one text in which a search of a record looks: its fields, folded, a line each. A search holds no line break, so it
 * matches within one field. A line that is there already is left out.
 * @param fields null: the record has none
 */
export function searchTextOf(...fields: (string | null)[]): string {
  return [...new Set(fields.flatMap((field) => (field === null ? [] : foldForSearch(field))))].join('\n')
}
