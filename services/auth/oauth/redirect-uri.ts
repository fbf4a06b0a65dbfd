/** An address on this machine. The port of an app that listens there is a free one (RFC 8252, 7.3). */
const LOOPBACK = /^(http:\/\/(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\]))(?::\d{1,5})?(\/.*)?$/

/**
 * Whether a redirect URI is one that a client has registered: the same text (RFC 9700, 4.1.3), except for the port of an
 * address on this machine.
 */
export function isRegistered(uri: string, registered: readonly string[]): boolean {
  return registered.includes(uri) || (URL.canParse(uri) && registered.some((other) => areAtOneHost(uri, other)))
}

function areAtOneHost(uri: string, registered: string): boolean {
  const [, host, path] = LOOPBACK.exec(uri) ?? []
  const [, registeredHost, registeredPath] = LOOPBACK.exec(registered) ?? []
  return host !== undefined && host === registeredHost && path === registeredPath
}

/** Adds parameters to the query of a redirect URI, which keeps the one that it has (RFC 6749, 3.1.2). */
export function redirectTo(uri: string, parameters: Record<string, string | undefined>): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) query.set(name, value)
  const added = query.toString()
  if (added === '') return uri
  return `${uri}${uri.includes('?') ? '&' : '?'}${added}`
}
