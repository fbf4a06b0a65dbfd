import { createHash, timingSafeEqual } from 'node:crypto'
import type { Codes } from '../keys/sealing.ts'
import type { SessionKind } from '../store/index.ts'

const PREFIX = 'ch202_rt_'
const SESSION = 16
const COUNTER = 6
const CODE = 32

export interface Presented {
  sessionId: string
  counter: number
}

/**
 * Refresh tokens are derived, not stored: session, counter, and an authentication code of the two that only CH202_SECRET
 * makes (256 bits). The same counter gives the same token again, so a lost answer can be repeated, and an older one is
 * recognised for what it is. 54 bytes are 72 characters of base64url without a stray bit.
 */
export function refreshToken(codes: Codes, sessionId: string, counter: number, kind: SessionKind): string {
  const message = messageOf(sessionId, counter)
  if (kind === 'v0') return uuid4From(codes.of(Buffer.concat([Buffer.from('v0'), message])))
  return PREFIX + Buffer.concat([message, codes.of(message)]).toString('base64url')
}

/** Which session and counter a token was made for; undefined for one that we did not make. */
export function readRefreshToken(codes: Codes, token: string): Presented | undefined {
  if (!token.startsWith(PREFIX)) return undefined
  const text = token.slice(PREFIX.length)
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.length !== SESSION + COUNTER + CODE || bytes.toString('base64url') !== text) return undefined
  const message = bytes.subarray(0, SESSION + COUNTER)
  const code = bytes.subarray(SESSION + COUNTER)
  if (!codes.all(message).some((known) => timingSafeEqual(known, code))) return undefined
  return { sessionId: uuidFrom(message.subarray(0, SESSION)), counter: message.readUIntBE(SESSION, COUNTER) }
}

/** What a v0 token is looked up by: it carries nothing but 122 unguessable bits. Spelled otherwise it is another. */
export function hashOfRefreshToken(token: string): Uint8Array {
  return createHash('sha256').update(token).digest()
}

function messageOf(sessionId: string, counter: number): Buffer {
  const message = Buffer.alloc(SESSION + COUNTER)
  message.write(sessionId.replaceAll('-', ''), 0, 'hex')
  message.writeUIntBE(counter, SESSION, COUNTER)
  return message
}

function uuid4From(bytes: Buffer): string {
  const uuid = Buffer.from(bytes.subarray(0, SESSION))
  uuid.writeUInt8((uuid.readUInt8(6) & 0x0f) | 0x40, 6)
  uuid.writeUInt8((uuid.readUInt8(8) & 0x3f) | 0x80, 8)
  return uuidFrom(uuid)
}

function uuidFrom(bytes: Buffer): string {
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
