import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto'
import { encodeCBOR } from '@levischuck/tiny-cbor'

/** The parts that an authenticator and its browser send in another way than they should. */
export interface Deviation {
  origin?: string
  rpId?: string
  challenge?: string
  type?: string
  userVerified?: boolean
  userPresent?: boolean
  crossOrigin?: boolean
  counter?: number
  userHandle?: string | null
  backedUp?: boolean
  backupEligible?: boolean
  /** Signs with another key. */
  otherKey?: boolean
}

type Algorithm = 'ES256' | 'EdDSA' | 'RS256'
const COSE: Record<Algorithm, number> = { ES256: -7, EdDSA: -8, RS256: -257 }

function newKeys(algorithm: Algorithm) {
  if (algorithm === 'ES256') return generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return algorithm === 'EdDSA' ? generateKeyPairSync('ed25519') : generateKeyPairSync('rsa', { modulusLength: 2048 })
}

function coseKey(algorithm: Algorithm, key: KeyObject): Map<number, number | Uint8Array> {
  const jwk = key.export({ format: 'jwk' })
  const bytes = (text: string | undefined) => new Uint8Array(Buffer.from(text ?? '', 'base64url'))
  const head: [number, number][] = [[3, COSE[algorithm]]]
  if (algorithm === 'ES256')
    return new Map<number, number | Uint8Array>([[1, 2], ...head, [-1, 1], [-2, bytes(jwk.x)], [-3, bytes(jwk.y)]])
  if (algorithm === 'EdDSA') return new Map<number, number | Uint8Array>([[1, 1], ...head, [-1, 6], [-2, bytes(jwk.x)]])
  return new Map<number, number | Uint8Array>([[1, 3], ...head, [-1, bytes(jwk.n)], [-2, bytes(jwk.e)]])
}

const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest()
const base64url = (data: string | Uint8Array) => Buffer.from(data).toString('base64url')

/** The parts of the options that an authenticator reads. */
interface CreationOptions {
  challenge: string
  rp: { id: string }
  user: { id: string }
}
interface RequestOptions {
  challenge: string
  rpId: string
}

/** A passkey, for another process. It does not count its signatures. */
export interface SavedAuthenticator {
  /** Base64url. */
  id: string
  origin: string
  algorithm: Algorithm
  userHandle: string
  /** PEM. */
  privateKey: string
}

/** A passkey in software, with its browser: what `navigator.credentials` gives, and everything that it must not give. */
export class Authenticator {
  id = randomBytes(20)
  private counter = 0
  private userHandle = ''
  private keys: ReturnType<typeof newKeys>

  constructor(
    private readonly origin: string,
    private readonly algorithm: Algorithm = 'ES256',
    /** Whether the passkey is synchronized. */
    private readonly isSynced = false,
    /** Whether it counts its signatures. */
    private readonly counts = true,
  ) {
    this.keys = newKeys(algorithm)
  }

  static from({ algorithm, id, origin, privateKey, userHandle }: SavedAuthenticator): Authenticator {
    const authenticator = new Authenticator(origin, algorithm, false, false)
    const key = createPrivateKey(privateKey)
    authenticator.id = Buffer.from(id, 'base64url')
    authenticator.userHandle = userHandle
    authenticator.keys = { privateKey: key, publicKey: createPublicKey(key) }
    return authenticator
  }

  saved(): SavedAuthenticator {
    const { algorithm, id, keys, origin, userHandle } = this
    const privateKey = String(keys.privateKey.export({ format: 'pem', type: 'pkcs8' }))
    return { id: base64url(id), origin, algorithm, userHandle, privateKey }
  }

  /** Makes the credential of a new passkey. */
  create(options: CreationOptions, deviation: Deviation = {}) {
    this.userHandle = Buffer.from(options.user.id, 'base64url').toString()
    const credential = Buffer.concat([
      Buffer.alloc(16),
      Buffer.from([0, this.id.length]),
      this.id,
      encodeCBOR(coseKey(this.algorithm, this.keys.publicKey)),
    ])
    const authData = Buffer.concat([this.authenticatorData(options.rp.id, 0x40, deviation), credential])
    const attestationObject = encodeCBOR(
      new Map<string, string | Uint8Array | Map<string, never>>([
        ['fmt', 'none'],
        ['attStmt', new Map<string, never>()],
        ['authData', new Uint8Array(authData)],
      ]),
    )
    return {
      id: base64url(this.id),
      rawId: base64url(this.id),
      type: 'public-key',
      clientExtensionResults: {},
      authenticatorAttachment: 'platform',
      response: {
        clientDataJSON: base64url(this.clientData('webauthn.create', options.challenge, deviation)),
        attestationObject: base64url(attestationObject),
        transports: ['internal', 'hybrid'],
        publicKeyAlgorithm: COSE[this.algorithm],
      },
    }
  }

  /** Signs a login. */
  get(options: RequestOptions, deviation: Deviation = {}) {
    if (this.counts) this.counter++
    const clientData = this.clientData('webauthn.get', options.challenge, deviation)
    const authData = this.authenticatorData(options.rpId, 0, deviation)
    const signed = Buffer.concat([authData, sha256(clientData)])
    const key = deviation.otherKey ? newKeys(this.algorithm).privateKey : this.keys.privateKey
    const { userHandle = this.userHandle } = deviation
    return {
      id: base64url(this.id),
      rawId: base64url(this.id),
      type: 'public-key',
      clientExtensionResults: {},
      response: {
        clientDataJSON: base64url(clientData),
        authenticatorData: base64url(authData),
        signature: base64url(sign(this.algorithm === 'EdDSA' ? null : 'sha256', signed, key)),
        userHandle: userHandle === null ? null : base64url(userHandle),
      },
    }
  }

  private clientData(type: string, challenge: string, deviation: Deviation): string {
    const { crossOrigin = false, origin = this.origin } = deviation
    return JSON.stringify({
      type: deviation.type ?? type,
      challenge: deviation.challenge ?? challenge,
      origin,
      crossOrigin,
    })
  }

  private authenticatorData(rpId: string, extra: number, deviation: Deviation): Buffer {
    const {
      backedUp = this.isSynced,
      backupEligible = this.isSynced,
      userPresent = true,
      userVerified = true,
    } = deviation
    const flags =
      (userPresent ? 0x01 : 0) | (userVerified ? 0x04 : 0) | (backupEligible ? 0x08 : 0) | (backedUp ? 0x10 : 0) | extra
    const counter = Buffer.alloc(4)
    counter.writeUInt32BE(deviation.counter ?? this.counter)
    return Buffer.concat([sha256(deviation.rpId ?? rpId), Buffer.from([flags]), counter])
  }
}
