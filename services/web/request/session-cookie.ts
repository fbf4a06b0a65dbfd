import { deflateRawSync, inflateRawSync } from 'node:zlib'
import type { Sealing } from '../../kit/tokens/sealing.ts'

/** The tokens of a browser's session. Times are milliseconds since the epoch. */
export interface BrowserSession {
  id: string
  accessToken: string
  accessExpiresAt: number
  refreshToken: string
  refreshExpiresAt: number
}

/** Bytes of a cookie that browsers keep (RFC 6265, 6.1), less room for its name and attributes. */
const COOKIE_MAX = 3900
/** Bytes of a value before it was compressed: more than any cookie has. */
const PLAIN_MAX = 16 * 1024

/**
 * Seals the values of cookies (AES-256-GCM), so that nothing is stored here: a browser can neither read them nor change
 * them. The name and the expiry of a cookie are sealed in: a value that was moved to another cookie, or whose expiry was
 * changed, does not open.
 */
export class SealedCookies {
  constructor(private readonly sealing: Pick<Sealing, 'seal' | 'open'>) {}

  /** @param expiresAt milliseconds since the epoch */
  seal(name: string, value: unknown, expiresAt: number): string {
    const expiry = Math.floor(expiresAt / 1000).toString(36)
    const plain = deflateRawSync(JSON.stringify(value))
    return `${expiry}.${Buffer.from(this.sealing.seal(plain, `${name} ${expiry}`)).toString('base64url')}`
  }

  /** The value of a cookie; undefined when it has expired, was altered, or was sealed by an unknown secret. */
  open(name: string, sealed: string | undefined, now: number): unknown {
    const [, expiry = '', value = ''] = /^([0-9a-z]{1,9})\.([\w-]+)$/.exec(sealed ?? '') ?? []
    if (expiry === '' || Number.parseInt(expiry, 36) * 1000 <= now) return undefined
    const bytes = Buffer.from(value, 'base64url')
    // A value has one spelling: characters whose bits do not count are refused too.
    if (bytes.toString('base64url') !== value) return undefined
    const plain = this.sealing.open(bytes, `${name} ${expiry}`)
    if (!plain) return undefined
    return JSON.parse(inflateRawSync(plain, { maxOutputLength: PLAIN_MAX }).toString())
  }
}

/** Seals a session. An access token that makes the cookie too large is left out: the next request gets a new one. */
export function sealSession(cookies: SealedCookies, name: string, session: BrowserSession): string {
  const { accessToken, ...rest } = session
  const sealed = cookies.seal(name, { ...rest, access: unpacked(accessToken) }, session.refreshExpiresAt)
  if (sealed.length <= COOKIE_MAX) return sealed
  return cookies.seal(name, { ...rest, access: null }, session.refreshExpiresAt)
}

/** Opens a session; null when the cookie is missing, altered or expired. */
export function openSession(
  cookies: SealedCookies,
  name: string,
  sealed: string | undefined,
  now: number,
): BrowserSession | null {
  const value = cookies.open(name, sealed, now) as (BrowserSession & { access: Unpacked | null }) | undefined
  if (!value) return null
  const { access, ...rest } = value
  // Without its access token a session begins with a refresh.
  return access === null ? { ...rest, accessToken: '', accessExpiresAt: 0 } : { ...rest, accessToken: packed(access) }
}

/** The parts of a JWT: the header and the claims as text, which is a quarter shorter and can be compressed. */
type Unpacked = [header: string, claims: string, signature: string] | [token: string]

function unpacked(token: string): Unpacked {
  const [header = '', claims = '', signature = ''] = token.split('.')
  const text = (part: string) => Buffer.from(part, 'base64url').toString()
  const parts: Unpacked = [text(header), text(claims), signature]
  return packed(parts) === token ? parts : [token]
}

function packed(parts: Unpacked): string {
  if (parts.length === 1) return parts[0]
  const [header, claims, signature] = parts
  const base64 = (text: string) => Buffer.from(text).toString('base64url')
  return `${base64(header)}.${base64(claims)}.${signature}`
}
