/** Characters that a search of the API takes. */
const MOST = 200

/** What to search for where a name is meant: all of it, or as much as a search takes, in whole characters. */
export function searchFor(name: string): string {
  return [...name].slice(0, MOST).join('')
}
