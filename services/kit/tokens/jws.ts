/** The parts of a signed token, before anything of it is verified. */
export interface Jws {
  header: Record<string, unknown>
  claims: Record<string, unknown>
  /** The bytes that the signature covers. */
  signed: Buffer
  signature: Buffer
}

/** Reads a JWS with JSON claims in the compact form (RFC 7515, 7.1). @returns undefined for anything else */
export function parseJws(token: string): Jws | undefined {
  const parts = token.split('.')
  const [head, payload, signature] = parts.map(decodeCanonical)
  const header = head && parseObject(head)
  const claims = payload && parseObject(payload)
  if (parts.length !== 3 || !header || !claims || !signature) return undefined
  return { header, claims, signed: Buffer.from(token.slice(0, token.lastIndexOf('.'))), signature }
}

/** Decodes base64url. Only the canonical spelling of the bytes counts: no stray bits in the last character. */
export function decodeCanonical(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, 'base64url')
  return bytes.length > 0 && bytes.toString('base64url') === part ? bytes : undefined
}

/** Parses a JSON object. @returns undefined for anything else */
export function parseObject(bytes: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}
