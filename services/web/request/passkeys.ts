import { isIP } from 'node:net'

/**
 * Whether browsers use passkeys at the address of the pages: they want a domain, never an IP address, and a secure context
 * (WebAuthn 3, 5.1.3 and 13.4.9).
 */
export function takesPasskeys(publicUrl: string): boolean {
  const { hostname, protocol } = new URL(publicUrl)
  const isLocal = hostname === 'localhost' || hostname.endsWith('.localhost')
  return isIP(hostname.replaceAll(/[[\]]/g, '')) === 0 && (protocol === 'https:' || isLocal)
}
