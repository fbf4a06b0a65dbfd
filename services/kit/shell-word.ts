/** Quotes a word for a shell if necessary. Zsh replaces a word that begins with `=` by the path of a command. */
export function quoted(word: string): string {
  return /^(?!=)[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
