import { isUnusableHash } from '../../../../../services/kit/passwords/hasher.ts'
import type { ImportedPassword } from './foreign-user.ts'

// Converts password hashes of other products to the form that the API accepts (docs/migrate/bulk.md).

const BCRYPT = /^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$/
const PHC = /^\$(argon2(?:id|i|d)|pbkdf2-sha(?:1|256|512)|scrypt|fbscrypt)\$/
/** Hashes of Django, Spring Security, WordPress and phpBB, which the API accepts as they are. */
const FRAMEWORK_HASHES = [
  /^(?:pbkdf2_sha(?:1|256)|argon2|scrypt|bcrypt|bcrypt_sha256)\$/,
  /^\{(?:bcrypt|argon2|scrypt|pbkdf2)(?:@SpringSecurity_v5_8)?\}/,
  /^\$(?:wp\$2y|P|H)\$/,
]
const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/

/** Reads a hash that names its algorithm; null if there is no hash, or a placeholder for "no password". */
export function hashIn(value: unknown): ImportedPassword {
  if (typeof value !== 'string' || value === '' || isUnusableHash(value)) return null
  if ([BCRYPT, PHC, ...FRAMEWORK_HASHES].some((kind) => kind.test(value))) return { hash: value }
  if (value.startsWith('{noop}')) return CLEARTEXT
  return { fault: `Password hashes of this kind are not supported${kindOf(value)}` }
}

/** The algorithm name in a hash, and nothing else of the hash. */
function kindOf(value: string): string {
  const name = /^(?:\$([A-Za-z0-9-]{1,20})\$|([a-z0-9_]{1,20})\$|(\{[A-Za-z0-9@_-]{1,40}\}))/.exec(value)
  const prefix = name?.[1] ?? name?.[2] ?? name?.[3]
  return prefix === undefined ? '' : `: ${prefix}`
}

/** Refuses a hash. @param name the algorithm's name from the file, of which only harmless characters are repeated */
export function unknownAlgorithm(name: unknown): ImportedPassword {
  const safeName = typeof name === 'string' ? name.replaceAll(/[^A-Za-z0-9_. -]/g, '?').slice(0, 40) : 'it has no name'
  return { fault: `Password hashes with this algorithm are not supported: ${safeName}` }
}

const CLEARTEXT: ImportedPassword = {
  fault: 'The password is stored in clear text ({noop}), not as a hash',
}

export const BROKEN_HASH: ImportedPassword = {
  fault: 'The password hash is incomplete or malformed',
}

const PBKDF2 = { pbkdf2: 'sha1', 'pbkdf2-sha1': 'sha1', 'pbkdf2-sha256': 'sha256', 'pbkdf2-sha512': 'sha512' } as const

/** Whether Keycloak's name of an algorithm is one of PBKDF2. */
export function isPbkdf2(algorithm: unknown): algorithm is keyof typeof PBKDF2 {
  return typeof algorithm === 'string' && Object.hasOwn(PBKDF2, algorithm)
}

interface Pbkdf2 {
  algorithm: keyof typeof PBKDF2
  iterations: unknown
  /** Base64, as is the digest. */
  salt: unknown
  digest: unknown
}

/** Writes a hash as a PHC string, with the values that the file has. */
export function pbkdf2({ algorithm, iterations, salt, digest }: Pbkdf2): ImportedPassword {
  const [saltBytes, bytes] = [bytesIn(salt), bytesIn(digest)]
  if (!saltBytes || !bytes || !isCount(iterations)) return BROKEN_HASH
  const head = `$pbkdf2-${PBKDF2[algorithm]}$i=${iterations},l=${bytes.length}`
  return { hash: `${head}$${base64Of(saltBytes)}$${base64Of(bytes)}` }
}

interface Argon2 {
  type: unknown
  version: unknown
  memory: unknown
  passes: unknown
  lanes: unknown
  /** Base64, as is the digest. */
  salt: unknown
  digest: unknown
}

/** Writes a hash as a PHC string. Only version 1.3 is accepted: versions before 2016 compute another function. */
export function argon2({ type, version, memory, passes, lanes, salt, digest }: Argon2): ImportedPassword {
  const [saltBytes, bytes] = [bytesIn(salt), bytesIn(digest)]
  if (String(version) !== '1.3') return unknownAlgorithm(`argon2 version ${String(version)}`)
  if (!saltBytes || !bytes || !['id', 'i', 'd'].includes(String(type))) return BROKEN_HASH
  if (!isCount(memory) || !isCount(passes) || !isCount(lanes)) return BROKEN_HASH
  const head = `$argon2${String(type)}$v=19$m=${memory},t=${passes},p=${lanes}`
  return { hash: `${head}$${base64Of(saltBytes)}$${base64Of(bytes)}` }
}

interface Scrypt {
  /** N, a power of 2. */
  cost: number
  blockSize: number
  parallelization: number
  salt: Buffer
  digest: Buffer
}

/** Writes a hash as a PHC string. */
export function scrypt({ cost, blockSize, parallelization, salt, digest }: Scrypt): ImportedPassword {
  const log = Math.log2(cost)
  if (!Number.isInteger(log) || !isCount(blockSize) || !isCount(parallelization) || digest.length === 0)
    return BROKEN_HASH
  return { hash: `$scrypt$ln=${log},r=${blockSize},p=${parallelization}$${base64Of(salt)}$${base64Of(digest)}` }
}

/** Decodes base64 of either alphabet, padded or not; undefined if it is not base64. */
export function bytesIn(value: unknown): Buffer | undefined {
  if (typeof value !== 'string' || value === '' || !BASE64.test(value)) return undefined
  return Buffer.from(value, 'base64')
}

function base64Of(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '')
}

/** Whether a value, or its text, is a whole number from 1 of at most nine digits. */
function isCount(value: unknown): value is number | string {
  return /^[1-9]\d{0,8}$/.test(String(value))
}
