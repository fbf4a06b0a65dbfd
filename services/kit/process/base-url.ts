/** What keeps a text from being the base that paths are appended to, in words that follow the name of a setting. */
export function baseUrlFault(
  text: string,
  { protocols, example, path }: { protocols: readonly string[]; example: string; path: boolean },
): string | undefined {
  const parsed = URL.parse(text)
  // A blank or a backslash is dropped or turned by the parser, and would stand in what is made of the text.
  if (!parsed || !protocols.includes(parsed.protocol) || /[\s\\]/.test(text))
    return `must be an address such as ${example}`
  if (parsed.hostname.includes('*')) return `must be an address such as ${example}: * is no host`
  const without = partBeyond(text, parsed, path)
  return without && `must be an address without ${without}, such as ${example}`
}

/** By the text: of an empty query or fragment the parser knows nothing. */
function partBeyond(text: string, { username, password, pathname }: URL, path: boolean): string | undefined {
  if (text.includes('#')) return 'a fragment'
  if (text.includes('?')) return 'a query'
  if (username || password) return 'a user or a password'
  return !path && pathname !== '/' ? 'a path' : undefined
}

/**
 * What keeps a text from being an origin as a browser sends it, in words that follow "it has" or "it is". An origin is
 * compared to the letter: what no browser sends would never match.
 */
export function originFault(text: string): string | undefined {
  if (text === 'null') return 'null, which every page from nowhere sends'
  if (text.includes('*')) return 'a pattern: an origin is one place, to the letter'
  const [, scheme, host, rest = ''] = /^([a-zA-Z][a-zA-Z0-9+.-]*):\/\/([^/?#]*)(.*)$/.exec(text) ?? []
  if (scheme === undefined || !host) return 'no scheme://host[:port]'
  if (rest === '/') return 'one with a slash at its end, which no browser sends'
  const [part] = rest
  if (part) return `one with a ${part === '/' ? 'path' : part === '?' ? 'query' : 'fragment'}`
  if (host.includes('@')) return 'one with a user'
  if (scheme !== scheme.toLowerCase()) return 'one in upper case, which no browser sends'
  if (scheme !== 'http' && scheme !== 'https')
    return /^([\w.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?$/i.test(host) ? undefined : 'no scheme://host[:port]'
  const sent = URL.parse(text)?.origin
  if (sent === text) return undefined
  if (sent === undefined) return 'no scheme://host[:port]'
  if (sent === text.toLowerCase()) return 'one in upper case, which no browser sends'
  return 'one that browsers write in another way, such as without the port of its scheme or with an ASCII host'
}
