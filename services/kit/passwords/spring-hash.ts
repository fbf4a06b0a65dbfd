import {
  decodeBase64,
  HASH_BYTES_MAX,
  HASH_BYTES_MIN,
  type ImportedHash,
  nativeCheck,
  pbkdf2Check,
  SALT_BYTES_MAX,
  scryptCheck,
  scryptOptions,
} from './key-derivation.ts'

const WRAPPED = /^\{(bcrypt|argon2|argon2@SpringSecurity_v5_8)\}(\$.*)$/s
const SCRYPT =
  /^\{scrypt(?:@SpringSecurity_v5_8)?\}\$([0-9a-f]{5,6})\$([A-Za-z0-9+/]{1,172}={0,2})\$([A-Za-z0-9+/]{1,172}={0,2})$/
const PBKDF2 = /^\{(pbkdf2|pbkdf2@SpringSecurity_v5_8)\}((?:[0-9a-f]{2})+)$/
const PBKDF2_HASH_BYTES = 32
/** The parameters behind the names in `PasswordEncoderFactories`: the hashes themselves do not state them. */
const PBKDF2_PARAMETERS = {
  pbkdf2: { digest: 'sha1', iterations: 185_000, saltBytes: 8 },
  'pbkdf2@SpringSecurity_v5_8': { digest: 'sha256', iterations: 310_000, saltBytes: 16 },
} as const

/**
 * Reads a hash of Spring Security's `DelegatingPasswordEncoder`: `{<encoder>}…`.
 * @returns undefined as `parseImportedHash`
 */
export function parseSpringHash(text: string): ImportedHash | undefined {
  const [, encoder, wrapped] = WRAPPED.exec(text) ?? []
  if (wrapped?.startsWith(encoder === 'bcrypt' ? '$2' : '$argon2')) return nativeCheck(wrapped)
  return parseScrypt(text) ?? parsePbkdf2(text)
}

/** Spring writes the parameters as one number: log2 of N, then r and p, eight bits each. */
function parseScrypt(text: string): ImportedHash | undefined {
  const [, parameters, salt, hash] = SCRYPT.exec(text) ?? []
  const number = Number.parseInt(parameters ?? '', 16)
  return scryptCheck(
    scryptOptions(number >> 16, (number >> 8) & 0xff, number & 0xff),
    decodeBase64(salt, 1, SALT_BYTES_MAX),
    decodeBase64(hash, HASH_BYTES_MIN, HASH_BYTES_MAX),
  )
}

/** Reads the salt and the hash from one text. A hash with an application secret cannot be checked: it never matches. */
function parsePbkdf2(text: string): ImportedHash | undefined {
  const [, encoder, hex = ''] = PBKDF2.exec(text) ?? []
  if (encoder === undefined) return undefined
  const { digest, iterations, saltBytes } = PBKDF2_PARAMETERS[encoder as keyof typeof PBKDF2_PARAMETERS]
  const saltAndHash = Buffer.from(hex, 'hex')
  if (saltAndHash.length !== saltBytes + PBKDF2_HASH_BYTES) return undefined
  return pbkdf2Check(digest, iterations, saltAndHash.subarray(0, saltBytes), saltAndHash.subarray(saltBytes))
}
