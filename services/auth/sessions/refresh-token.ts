import { createHash, timingSafeEqual } from 'node:crypto'
import type { Codes } from '../../kit/tokens/sealing.ts'
import type { SessionKind } from '../store/index.ts'

const PREFIX = 'ch202_rt_'
/** The prefix of the refresh tokens of grants, which work only at the token endpoint. */
const GRANT_PREFIX = 'ch202_ort_'
/** The parts of a token, with their lengths in bytes. */
const SESSION = 16
const COUNTER = 6
const CODE = 32

/** The session and the counter that a refresh token was derived from. */
export interface TokenPlace {
  sessionId: string
  counter: number
}

/**
 * Derives a refresh token: session, counter, and a 256-bit authentication code of both that only CH202_SECRET can
 * produce. Tokens are not stored: the same counter gives the same token again, so a lost answer can be repeated, and reuse
 * of an older token is recognised. The 54 bytes are 72 characters of base64url without spare bits. A v0 token is a UUID v4
 * made of the code alone.
 */
export function refreshToken(codes: Codes, { counter, sessionId }: TokenPlace, kind: SessionKind): string {
  const message = messageOf(sessionId, counter)
  if (kind === 'v0') return uuid4From(codes.of(Buffer.concat([Buffer.from('v0'), message])))
  return PREFIX + Buffer.concat([message, codes.of(message)]).toString('base64url')
}

/** Derives the refresh token of an offline grant, which no other call takes for one of its own. */
export function grantRefreshToken(codes: Codes, place: TokenPlace): string {
  const message = messageOf(place.sessionId, place.counter)
  return GRANT_PREFIX + Buffer.concat([message, codes.of(ofGrant(message))]).toString('base64url')
}

/** The same as `readRefreshToken`, of the refresh token of a grant. */
export function readGrantRefreshToken(codes: Codes, token: string): TokenPlace | undefined {
  return token.startsWith(GRANT_PREFIX) ? placeIn(codes, token.slice(GRANT_PREFIX.length), ofGrant) : undefined
}

/** The message whose code the refresh token of a grant has: the code of another token is not valid for it. */
function ofGrant(message: Buffer): Buffer {
  return Buffer.concat([Buffer.from('grant'), message])
}

/** Returns what a token was derived from; undefined for a token that no secret of this instance produced. */
export function readRefreshToken(codes: Codes, token: string): TokenPlace | undefined {
  return token.startsWith(PREFIX) ? placeIn(codes, token.slice(PREFIX.length), (message) => message) : undefined
}

function placeIn(codes: Codes, text: string, codedOf: (message: Buffer) => Buffer): TokenPlace | undefined {
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.length !== SESSION + COUNTER + CODE || bytes.toString('base64url') !== text) return undefined
  const message = bytes.subarray(0, SESSION + COUNTER)
  const code = bytes.subarray(SESSION + COUNTER)
  if (!codes.all(codedOf(message)).some((expected) => timingSafeEqual(expected, code))) return undefined
  return { sessionId: uuidFrom(message.subarray(0, SESSION)), counter: message.readUIntBE(SESSION, COUNTER) }
}

/**
 * Returns the hash by which a v0 token is looked up: the token has only 122 bits, too few to contain its session. The same
 * UUID in capitals is another token.
 */
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
