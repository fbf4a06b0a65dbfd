import { createHash, createPublicKey, type KeyObject, timingSafeEqual, verify } from 'node:crypto'
import { decodeCBOR, decodePartialCBOR } from '@levischuck/tiny-cbor'

// What a passkey sends, checked as WebAuthn 3 says (7.1 for a new one, 7.2 for a login). Rules without input or output: in
// this thread, because WebCrypto shares its threads with file reads.

/** The conditions that an answer must fit. */
export interface Ceremony {
  rpId: string
  /** Compared to the letter; apps have origins such as `android:apk-key-hash:…`. */
  origins: readonly string[]
  /** Whether a challenge is valid; the caller knows what it is for. */
  isChallenge(challenge: Uint8Array): boolean
}

/** A new passkey, as `navigator.credentials.create` gives it: byte strings in base64url. */
export interface RegistrationResponse {
  id: string
  rawId: string
  type: string
  response: { clientDataJSON: string; attestationObject: string; transports?: unknown }
}

/** A login with a passkey, as `navigator.credentials.get` gives it: byte strings in base64url. */
export interface AuthenticationResponse {
  id: string
  rawId: string
  type: string
  response: {
    clientDataJSON: string
    authenticatorData: string
    signature: string
    userHandle?: string | null
  }
}

/** The algorithms of passkeys (COSE, RFC 9053): ES256, EdDSA with Ed25519, RS256. */
export const PASSKEY_ALGORITHMS = [-7, -8, -257] as const
type Algorithm = (typeof PASSKEY_ALGORITHMS)[number]

/** The part of a verified new passkey that is stored. */
export interface NewPasskey {
  credentialId: Buffer
  /** SubjectPublicKeyInfo, DER. */
  publicKey: Buffer
  algorithm: Algorithm
  counter: number
  /** The model of the authenticator, in hexadecimal; zeros if it does not say. */
  aaguid: string
  backupEligible: boolean
  backedUp: boolean
  challenge: Buffer
}

/** The state of a passkey, as a verified login shows it. */
export interface PasskeyUse {
  counter: number
  backupEligible: boolean
  backedUp: boolean
  challenge: Buffer
}

/** An answer that does not fit its ceremony. The reason is for tests and logs, never for the client. */
export class PasskeyError extends Error {}

/**
 * Verifies a new passkey (WebAuthn 3, 7.1). The attestation is not read: none is asked for, and no model is preferred.
 * @throws PasskeyError
 */
export function verifyRegistration(
  ceremony: Ceremony,
  { id, rawId, response, type }: RegistrationResponse,
): NewPasskey {
  requireType(type)
  const { challenge } = readClientData(ceremony, response.clientDataJSON, 'webauthn.create')
  const attestation = readMap(decoded(() => decodeCBOR(new Uint8Array(bytesOf(response.attestationObject)))))
  const authData = attestation.get('authData')
  if (!(authData instanceof Uint8Array)) throw new PasskeyError('authData is missing')
  const { flags, ...data } = readAuthenticatorData(ceremony, Buffer.from(authData))
  if (!flags.hasCredential) throw new PasskeyError('the credential is missing')
  const { aaguid, credentialId, key } = readCredential(Buffer.from(authData).subarray(HEADER_BYTES))
  if (!credentialId.equals(bytesOf(rawId)) || !credentialId.equals(bytesOf(id)))
    throw new PasskeyError('the id differs from that of the credential')
  if (credentialId.length > CREDENTIAL_ID_MAX) throw new PasskeyError('the id is too long')
  const { algorithm, publicKey } = readKey(key)
  return {
    credentialId,
    publicKey: publicKey.export(SPKI),
    algorithm,
    counter: data.counter,
    aaguid,
    backupEligible: flags.backupEligible,
    backedUp: flags.backedUp,
    challenge,
  }
}

/**
 * Verifies a login with a passkey (WebAuthn 3, 7.2), but for its counter, which the store compares as it is written.
 * @throws PasskeyError
 */
export function verifyAuthentication(
  ceremony: Ceremony,
  { response, type }: AuthenticationResponse,
  passkey: { publicKey: Uint8Array; algorithm: number },
): PasskeyUse {
  requireType(type)
  const { challenge, hash } = readClientData(ceremony, response.clientDataJSON, 'webauthn.get')
  const authData = bytesOf(response.authenticatorData)
  const { counter, flags } = readAuthenticatorData(ceremony, authData)
  const key = readPublicKey(passkey.publicKey)
  const signed = Buffer.concat([authData, hash])
  const digest = passkey.algorithm === -8 ? null : 'sha256'
  if (!isSignature(digest, signed, key, bytesOf(response.signature))) throw new PasskeyError('the signature is wrong')
  return { counter, backupEligible: flags.backupEligible, backedUp: flags.backedUp, challenge }
}

/** The id of the credential and the user handle of a login, before anything of it is verified. */
export function identityIn({ rawId, response }: AuthenticationResponse): {
  credentialId: Buffer
  userHandle: string | null
} {
  const { userHandle } = response
  return { credentialId: bytesOf(rawId), userHandle: userHandle ? bytesOf(userHandle).toString() : null }
}

const SPKI = { format: 'der', type: 'spki' } as const

/** Reads a key in the form in which it is stored. */
function readPublicKey(key: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.from(key), ...SPKI })
}

function isSignature(digest: 'sha256' | null, signed: Buffer, key: KeyObject, signature: Buffer): boolean {
  try {
    return verify(digest, signed, key, signature)
  } catch {
    return false
  }
}

function requireType(type: string): void {
  if (type !== 'public-key') throw new PasskeyError('the type is not public-key')
}

/** Bytes of a client data: a browser sends some hundred. */
const CLIENT_DATA_MAX = 4096
const CREDENTIAL_ID_MAX = 1023

/** Reads what the browser says of a ceremony (5.8.1). @returns the challenge, and the hash that is signed */
function readClientData({ isChallenge, origins }: Ceremony, encoded: string, type: string) {
  const json = bytesOf(encoded)
  if (json.length > CLIENT_DATA_MAX) throw new PasskeyError('the client data is too long')
  const data = decoded(() => JSON.parse(json.toString()) as unknown)
  if (typeof data !== 'object' || data === null) throw new PasskeyError('the client data is no object')
  const { challenge, crossOrigin, origin, ...rest } = data as Record<string, unknown>
  if (rest.type !== type) throw new PasskeyError('the type of the client data is wrong')
  if (typeof origin !== 'string' || !origins.includes(origin)) throw new PasskeyError('the origin is not allowed')
  // Another site that shows ours in a frame could have someone confirm what they do not see.
  if (crossOrigin === true) throw new PasskeyError('the request comes from a frame of another origin')
  const bytes = bytesOf(challenge)
  if (!isChallenge(bytes)) throw new PasskeyError('the challenge is not valid')
  return { challenge: bytes, hash: createHash('sha256').update(json).digest() }
}

const RP_ID_HASH = 32
/** The hash of the RP id, the flags and the counter (6.1). */
const HEADER_BYTES = RP_ID_HASH + 1 + 4
const [USER_PRESENT, USER_VERIFIED, BACKUP_ELIGIBLE, BACKED_UP, HAS_CREDENTIAL] = [0x01, 0x04, 0x08, 0x10, 0x40]

/** Reads what the authenticator says of a ceremony (6.1), and checks it. */
function readAuthenticatorData({ rpId }: Ceremony, data: Buffer) {
  if (data.length < HEADER_BYTES) throw new PasskeyError('the authenticator data is too short')
  const expected = createHash('sha256').update(rpId).digest()
  if (!timingSafeEqual(data.subarray(0, RP_ID_HASH), expected)) throw new PasskeyError('the RP id is wrong')
  const bits = data.readUInt8(RP_ID_HASH)
  const has = (flag: number) => (bits & flag) !== 0
  if (!has(USER_PRESENT)) throw new PasskeyError('the user was not present')
  if (!has(USER_VERIFIED)) throw new PasskeyError('the user was not verified')
  const flags = {
    backupEligible: has(BACKUP_ELIGIBLE),
    backedUp: has(BACKED_UP),
    hasCredential: has(HAS_CREDENTIAL),
  }
  if (flags.backedUp && !flags.backupEligible) throw new PasskeyError('a backup that is not possible')
  return { flags, counter: data.readUInt32BE(RP_ID_HASH + 1) }
}

const AAGUID_BYTES = 16

/** Reads the attested credential data (6.5.1), which extensions may follow. */
function readCredential(data: Buffer) {
  if (data.length < AAGUID_BYTES + 2) throw new PasskeyError('the credential is too short')
  const idStart = AAGUID_BYTES + 2
  const keyStart = idStart + data.readUInt16BE(AAGUID_BYTES)
  if (data.length <= keyStart) throw new PasskeyError('the credential is too short')
  const [key] = decoded(() => decodePartialCBOR(new Uint8Array(data), keyStart))
  return {
    aaguid: data.subarray(0, AAGUID_BYTES).toString('hex'),
    credentialId: Buffer.from(data.subarray(idStart, keyStart)),
    key: readMap(key),
  }
}

/** Labels of COSE keys (RFC 9053, 7; RFC 8230, 4): -1 is the curve or the modulus, -2 the x or the exponent, -3 the y. */
const [KEY_TYPE, ALGORITHM] = [1, 3]
const RSA_BITS = { least: 2048, most: 4096 }

/** Reads a public key (RFC 9053, 7) of one of the algorithms that are asked for. */
function readKey(key: Map<unknown, unknown>): { algorithm: Algorithm; publicKey: KeyObject } {
  const algorithm = PASSKEY_ALGORITHMS.find((each) => each === key.get(ALGORITHM))
  const is = (type: number, curve?: number) =>
    key.get(KEY_TYPE) === type && (curve === undefined || key.get(-1) === curve)
  const text = (label: number) => {
    const value = key.get(label)
    if (!(value instanceof Uint8Array)) throw new PasskeyError('a part of the key is missing')
    return Buffer.from(value).toString('base64url')
  }
  // Read twice: a form that is stored must be one that the next login can read, and JWK admits keys that are of no use.
  const imported = (jwk: Record<string, string>) =>
    decoded(() => readPublicKey(createPublicKey({ key: jwk, format: 'jwk' }).export(SPKI)))
  if (algorithm === -7 && is(2, 1))
    return { algorithm, publicKey: imported({ kty: 'EC', crv: 'P-256', x: text(-2), y: text(-3) }) }
  if (algorithm === -8 && is(1, 6))
    return { algorithm, publicKey: imported({ kty: 'OKP', crv: 'Ed25519', x: text(-2) }) }
  if (algorithm === -257 && is(3)) {
    const publicKey = imported({ kty: 'RSA', n: text(-1), e: text(-2) })
    const bits = publicKey.asymmetricKeyDetails?.modulusLength ?? 0
    // A small key can be broken, and a huge one makes every login slow.
    if (bits < RSA_BITS.least || bits > RSA_BITS.most) throw new PasskeyError('the RSA key has another size')
    return { algorithm, publicKey }
  }
  throw new PasskeyError('the algorithm is not one of those asked for')
}

function readMap(value: unknown): Map<unknown, unknown> {
  if (!(value instanceof Map)) throw new PasskeyError('not a map')
  return value
}

/** Decodes base64url in its canonical form. @throws PasskeyError for any other text */
function bytesOf(text: unknown): Buffer {
  const bytes = typeof text === 'string' ? Buffer.from(text, 'base64url') : null
  if (!bytes || bytes.length === 0 || bytes.toString('base64url') !== text) throw new PasskeyError('not base64url')
  return bytes
}

function decoded<T>(decode: () => T): T {
  try {
    return decode()
  } catch (cause) {
    throw new PasskeyError('cannot be decoded', { cause })
  }
}
