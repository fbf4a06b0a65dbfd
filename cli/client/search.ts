/** Maximum length of a search text, in characters. */
const SEARCH_MAX = 200

/** Cuts a name to the length that the API's search accepts. */
export function searchFor(name: string): string {
  return [...name].slice(0, SEARCH_MAX).join('')
}
