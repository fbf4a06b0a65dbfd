import { createHmac, timingSafeEqual } from 'node:crypto'
import { type ImportedHash, nativeCheck } from './key-derivation.ts'

const WORDPRESS = /^\$wp(\$2y\$.*)$/s
const PHPASS = /^\$[PH]\$([./0-9A-Za-z])([./0-9A-Za-z]{8})([./0-9A-Za-z]{22})$/
const ALPHABET = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
/** The minimum of phpass. WordPress uses 13. */
const ROUNDS_LOG_MIN = 7
/** Takes a twentieth of a second. phpass itself allows 30, which takes minutes. */
const ROUNDS_LOG_MAX = 18
const ROUNDS_PER_SECOND = 4_000_000
const MD5_BYTES = 16

/**
 * Reads a hash of WordPress: `$wp$2y$…` since version 6.8, before that phpass's portable hash (`$P$…`; `$H$…` in phpBB).
 * @returns undefined as `parseImportedHash`
 */
export function parsePhpHash(text: string): ImportedHash | undefined {
  return (
    nativeCheck(WORDPRESS.exec(text)?.[1], (password) => phpForms(password).map(wordpressDigest)) ?? parsePhpass(text)
  )
}

/**
 * The forms of a password that may have been hashed. WordPress trims it (PHP's `trim`) and puts a backslash before each
 * quote, as it receives it from a form; phpBB hashes what was typed. For most passwords the forms are equal.
 */
function phpForms(password: string): string[] {
  const trimmed = password.replace(/^[ \n\r\t\v\0]+|[ \n\r\t\v\0]+$/g, '')
  const slashed = trimmed.replaceAll(/['"\\]/g, '\\$&')
  return [...new Set([slashed, trimmed, password])]
}

function wordpressDigest(password: string): string {
  return createHmac('sha384', 'wp-sha384').update(password).digest('base64')
}

/** phpass is iterated MD5: of the salt and the password, then again and again of the last digest and the password. */
function parsePhpass(text: string): ImportedHash | undefined {
  const [, cost, salt, encoded] = PHPASS.exec(text) ?? []
  if (cost === undefined || salt === undefined || encoded === undefined) return undefined
  const log = ALPHABET.indexOf(cost)
  if (log < ROUNDS_LOG_MIN || log > ROUNDS_LOG_MAX) return undefined
  const hash = decodePhpass(encoded)
  if (!hash) return undefined
  return {
    seconds: 2 ** log / ROUNDS_PER_SECOND,
    matches: (password) =>
      phpForms(password).some((form) => timingSafeEqual(stretch(Buffer.from(form), Buffer.from(salt), 2 ** log), hash)),
  }
}

function stretch(password: Buffer, salt: Buffer, rounds: number): Uint8Array {
  const input = Buffer.concat([Buffer.alloc(MD5_BYTES), password])
  const digest = input.subarray(0, MD5_BYTES)
  digest.set(Bun.MD5.hash(Buffer.concat([salt, password])) as Uint8Array)
  for (let round = 0; round < rounds; round++) digest.set(Bun.MD5.hash(input) as Uint8Array)
  return digest
}

/** Decodes phpass's base64: six bits a character, lowest first. @returns undefined if the last one has stray bits */
function decodePhpass(text: string): Buffer | undefined {
  const bytes = Buffer.alloc(MD5_BYTES)
  let bits = 0
  let buffer = 0
  let position = 0
  for (const character of text) {
    buffer |= ALPHABET.indexOf(character) << bits
    bits += 6
    if (bits >= 8 && position < MD5_BYTES) {
      bytes[position++] = buffer & 0xff
      buffer >>= 8
      bits -= 8
    }
  }
  return buffer === 0 ? bytes : undefined
}
