import { isUnusableHash } from '../../../../services/kit/passwords/hasher.ts'
import type { PasswordFound } from './carry-over.ts'

// The hashes of other products, put together as the API takes them (docs/bulk.md).

const BCRYPT = /^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$/
const PHC = /^\$(argon2(?:id|i|d)|pbkdf2-sha(?:1|256|512)|scrypt|fbscrypt)\$/
/** Of Django, Spring Security, WordPress and phpBB, which are taken as they are. */
const OF_FRAMEWORKS = [
  /^(?:pbkdf2_sha(?:1|256)|argon2|scrypt|bcrypt|bcrypt_sha256)\$/,
  /^\{(?:bcrypt|argon2|scrypt|pbkdf2)(?:@SpringSecurity_v5_8)?\}/,
  /^\$(?:wp\$2y|P|H)\$/,
]
const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/

/** A hash that says itself what it is. Nothing where there is none, or one that stands for none. */
export function hashFound(value: unknown): PasswordFound {
  if (typeof value !== 'string' || value === '' || isUnusableHash(value)) return null
  if ([BCRYPT, PHC, ...OF_FRAMEWORKS].some((kind) => kind.test(value))) return { hash: value }
  if (value.startsWith('{noop}')) return IN_THE_CLEAR
  return { fault: `The password hash is of a kind that can't be checked here${named(value)}` }
}

/** The name that a hash bears, and nothing else of it. */
function named(value: string): string {
  const name = /^(?:\$([A-Za-z0-9-]{1,20})\$|([a-z0-9_]{1,20})\$|(\{[A-Za-z0-9@_-]{1,40}\}))/.exec(value)
  const found = name?.[1] ?? name?.[2] ?? name?.[3]
  return found === undefined ? '' : `: ${found}`
}

export function unknownAlgorithm(name: unknown): PasswordFound {
  const shown = typeof name === 'string' ? name.replaceAll(/[^A-Za-z0-9_-]/g, '?').slice(0, 40) : 'without a name'
  return { fault: `The password hash is of an algorithm that can't be checked here: ${shown}` }
}

const IN_THE_CLEAR: PasswordFound = {
  fault: 'The password stands there in the clear ({noop}): it is a password, not the hash of one',
}

export const BROKEN_HASH: PasswordFound = {
  fault: 'The password hash is not whole, or not in the shape it should have',
}

const PBKDF2 = { pbkdf2: 'sha1', 'pbkdf2-sha1': 'sha1', 'pbkdf2-sha256': 'sha256', 'pbkdf2-sha512': 'sha512' } as const

export function isPbkdf2(algorithm: unknown): algorithm is keyof typeof PBKDF2 {
  return typeof algorithm === 'string' && Object.hasOwn(PBKDF2, algorithm)
}

export function pbkdf2(algorithm: keyof typeof PBKDF2, iterations: unknown, salt: unknown, digest: unknown) {
  const [saltBytes, bytes] = [bytesIn(salt), bytesIn(digest)]
  if (!saltBytes || !bytes || !isCount(iterations)) return BROKEN_HASH
  const head = `$pbkdf2-${PBKDF2[algorithm]}$i=${iterations},l=${bytes.length}`
  return { hash: `${head}$${unpadded(saltBytes)}$${unpadded(bytes)}` }
}

interface Argon2 {
  type: unknown
  version: unknown
  memory: unknown
  passes: unknown
  lanes: unknown
  salt: unknown
  digest: unknown
}

/** Version 1.3 alone: that of before 2016 is another function. */
export function argon2({ type, version, memory, passes, lanes, salt, digest }: Argon2): PasswordFound {
  const [saltBytes, bytes] = [bytesIn(salt), bytesIn(digest)]
  if (String(version) !== '1.3') return unknownAlgorithm(`argon2 version ${String(version)}`)
  if (!saltBytes || !bytes || !['id', 'i', 'd'].includes(String(type))) return BROKEN_HASH
  if (!isCount(memory) || !isCount(passes) || !isCount(lanes)) return BROKEN_HASH
  const head = `$argon2${String(type)}$v=19$m=${memory},t=${passes},p=${lanes}`
  return { hash: `${head}$${unpadded(saltBytes)}$${unpadded(bytes)}` }
}

export function scrypt(cost: number, blockSize: number, parallel: number, salt: Buffer, digest: Buffer): PasswordFound {
  const log = Math.log2(cost)
  if (!Number.isInteger(log) || !isCount(blockSize) || !isCount(parallel) || digest.length === 0) return BROKEN_HASH
  return { hash: `$scrypt$ln=${log},r=${blockSize},p=${parallel}$${unpadded(salt)}$${unpadded(digest)}` }
}

/** The bytes of base64 of either alphabet, padded or not; nothing where it is none. */
export function bytesIn(value: unknown): Buffer | undefined {
  if (typeof value !== 'string' || value === '' || !BASE64.test(value)) return undefined
  return Buffer.from(value, 'base64')
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '')
}

function isCount(value: unknown): value is number | string {
  return /^[1-9]\d{0,8}$/.test(String(value))
}
