import { createHmac, timingSafeEqual } from 'node:crypto'
import type { TotpForm } from '../store/index.ts'

// Time-based one-time passwords (RFC 6238) and the form in which apps take their secrets. Rules without input or output.

/** The form of new secrets: the only one that every app has. */
export const NEW_TOTP: TotpForm = { algorithm: 'SHA1', digits: 6, period: 30 }
/** The length of new secrets: 160 bits (RFC 4226, 4). */
export const TOTP_SECRET_BYTES = 20

/** The step of a time, in milliseconds since the epoch (RFC 6238, 4.2). */
export function totpStep({ period }: Pick<TotpForm, 'period'>, now: number): number {
  return Math.floor(now / 1000 / period)
}

/** The code of a step (RFC 4226, 5.3). */
export function totpCode(secret: Uint8Array, { algorithm, digits }: TotpForm, step: number): string {
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(step))
  // In this thread: WebCrypto would wait behind other work of its pool.
  const mac = createHmac(algorithm, secret).update(counter).digest()
  const offset = (mac.at(-1) ?? 0) & 0x0f
  const number = mac.readUInt32BE(offset) & 0x7fffffff
  return String(number % 10 ** digits).padStart(digits, '0')
}

/** How many steps a code may be early or late: a clock may be wrong, and typing takes time (RFC 6238, 5.2). */
const WINDOW = 1

/**
 * Finds the step whose code someone typed, at most one step away from now. Blanks between the digits do not count. Every
 * code of the window is compared, in constant time.
 * @returns null when the code is of none of these steps
 */
export function matchedStep(secret: Uint8Array, form: TotpForm, typed: string, now: number): number | null {
  const digits = Buffer.from(typed.replaceAll(/\s/g, ''))
  let matched: number | null = null
  for (let step = totpStep(form, now) - WINDOW; step <= totpStep(form, now) + WINDOW; step++) {
    const code = Buffer.from(totpCode(secret, form, Math.max(0, step)))
    if (code.length === digits.length && timingSafeEqual(code, digits)) matched = step
  }
  return matched
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** Writes bytes in Base32 (RFC 4648, 6) without padding. */
export function toBase32(bytes: Uint8Array): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  return (bits.match(/.{1,5}/g) ?? []).map((five) => BASE32[Number.parseInt(five.padEnd(5, '0'), 2)]).join('')
}

/**
 * Reads Base32 in capital or small letters; blanks, hyphens and padding do not count.
 * @returns null when the text has other characters, or a length that no bytes have
 */
export function fromBase32(text: string): Buffer | null {
  const letters = text.replaceAll(/[\s-]/g, '').replace(/=+$/, '').toUpperCase()
  const values = [...letters].map((letter) => BASE32.indexOf(letter))
  // A last character that adds no whole byte is left over (RFC 4648, 6).
  if (values.includes(-1) || [1, 3, 6].includes(letters.length % 8)) return null
  const bits = values.map((value) => value.toString(2).padStart(5, '0')).join('')
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)))
}

/**
 * The address that apps read from a QR code (Key Uri Format).
 * @param issuer the name of the product
 * @param account what the app shows beside it, such as the email
 */
export function totpUri(secret: Uint8Array, form: TotpForm, { account, issuer }: { account: string; issuer: string }) {
  // A colon separates the two; one in a name would move the border.
  const label = [issuer, account].map((name) => encodeURIComponent(name.replaceAll(':', ' '))).join(':')
  const { algorithm, digits, period } = form
  const query = `secret=${toBase32(secret)}&issuer=${encodeURIComponent(issuer.replaceAll(':', ' '))}`
  return `otpauth://totp/${label}?${query}&algorithm=${algorithm}&digits=${digits}&period=${period}`
}
