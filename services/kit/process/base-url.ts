/** The fault of an address that paths are appended to, as text after the name of a setting; undefined when valid. */
export function baseUrlFault(
  text: string,
  { protocols, example, path }: { protocols: readonly string[]; example: string; path: boolean },
): string | undefined {
  const parsed = URL.parse(text)
  // The parser drops blanks and turns backslashes into slashes, but the text itself is used.
  if (!parsed || !protocols.includes(parsed.protocol) || /[\s\\]/.test(text))
    return `must be an address such as ${example}`
  if (parsed.hostname.includes('*')) return `must be an address such as ${example}: * is not a host`
  const part = extraPart(text, parsed, path)
  return part && `must be an address without ${part}, such as ${example}`
}

/** Searches the text itself, because the parser does not report an empty query or fragment. */
function extraPart(text: string, { username, password, pathname }: URL, path: boolean): string | undefined {
  if (text.includes('#')) return 'a fragment'
  if (text.includes('?')) return 'a query'
  if (username || password) return 'a user or a password'
  return !path && pathname !== '/' ? 'a path' : undefined
}

/**
 * The fault of an origin, as text after "it is"; undefined when valid. Origins are compared letter by letter, so an origin
 * that no browser sends would never match.
 */
export function originFault(text: string): string | undefined {
  if (text === 'null') return 'null, which every page without an origin sends'
  if (text.includes('*')) return 'a pattern: list each origin literally'
  const [, scheme, host, rest = ''] = /^([a-zA-Z][a-zA-Z0-9+.-]*):\/\/([^/?#]*)(.*)$/.exec(text) ?? []
  if (scheme === undefined || !host) return 'not of the form scheme://host[:port]'
  if (rest === '/') return 'an origin with a trailing slash, which no browser sends'
  const [part] = rest
  if (part) return `an origin with a ${part === '/' ? 'path' : part === '?' ? 'query' : 'fragment'}`
  if (host.includes('@')) return 'an origin with a user'
  if (scheme !== scheme.toLowerCase()) return 'an origin in upper case, which no browser sends'
  if (scheme !== 'http' && scheme !== 'https')
    return /^([\w.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?$/i.test(host) ? undefined : 'not of the form scheme://host[:port]'
  const serialized = URL.parse(text)?.origin
  if (serialized === text) return undefined
  if (serialized === undefined) return 'not of the form scheme://host[:port]'
  if (serialized === text.toLowerCase()) return 'an origin in upper case, which no browser sends'
  return 'an origin that browsers write differently, such as without the default port or with an ASCII host'
}
