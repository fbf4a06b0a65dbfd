import {
  bytes,
  type ForeignHash,
  HASH_BYTES_MAX,
  HASH_BYTES_MIN,
  nativeCheck,
  pbkdf2Check,
  SALT_BYTES_MAX,
  scryptCheck,
  scryptOptions,
} from './foreign-kdf.ts'

const WRAPPED = /^\{(bcrypt|argon2|argon2@SpringSecurity_v5_8)\}(\$.*)$/s
const SCRYPT =
  /^\{scrypt(?:@SpringSecurity_v5_8)?\}\$([0-9a-f]{5,6})\$([A-Za-z0-9+/]{1,172}={0,2})\$([A-Za-z0-9+/]{1,172}={0,2})$/
const PBKDF2 = /^\{(pbkdf2|pbkdf2@SpringSecurity_v5_8)\}((?:[0-9a-f]{2})+)$/
const PBKDF2_HASH_BYTES = 32
/** What the names stand for in `PasswordEncoderFactories`: these hashes say nothing of it themselves. */
const PBKDF2_PARAMETERS = {
  pbkdf2: { digest: 'sha1', iterations: 185_000, saltBytes: 8 },
  'pbkdf2@SpringSecurity_v5_8': { digest: 'sha256', iterations: 310_000, saltBytes: 16 },
} as const

/**
 * Reads a hash as the `DelegatingPasswordEncoder` of Spring Security writes it: `{<encoder>}…`.
 * @returns undefined as `foreignHash`
 */
export function springHash(text: string): ForeignHash | undefined {
  const [, encoder, wrapped] = WRAPPED.exec(text) ?? []
  if (wrapped?.startsWith(encoder === 'bcrypt' ? '$2' : '$argon2')) return nativeCheck(wrapped)
  return scryptHash(text) ?? pbkdf2Hash(text)
}

/** Its parameters are one number: the logarithm of N, r, and p, eight bits each. */
function scryptHash(text: string): ForeignHash | undefined {
  const [, parameters, salt, hash] = SCRYPT.exec(text) ?? []
  const number = Number.parseInt(parameters ?? '', 16)
  return scryptCheck(
    scryptOptions(number >> 16, (number >> 8) & 0xff, number & 0xff),
    bytes(salt, 1, SALT_BYTES_MAX),
    bytes(hash, HASH_BYTES_MIN, HASH_BYTES_MAX),
  )
}

/** The salt and the hash in one, without the secret that an application may have added. */
function pbkdf2Hash(text: string): ForeignHash | undefined {
  const [, encoder, hex = ''] = PBKDF2.exec(text) ?? []
  if (encoder === undefined) return undefined
  const { digest, iterations, saltBytes } = PBKDF2_PARAMETERS[encoder as keyof typeof PBKDF2_PARAMETERS]
  const all = Buffer.from(hex, 'hex')
  if (all.length !== saltBytes + PBKDF2_HASH_BYTES) return undefined
  return pbkdf2Check(digest, iterations, all.subarray(0, saltBytes), all.subarray(saltBytes))
}
