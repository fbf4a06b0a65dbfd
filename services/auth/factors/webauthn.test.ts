import { describe, expect, test } from 'bun:test'
import { createHash, createPublicKey, verify } from 'node:crypto'
import { encodeCBOR } from '@levischuck/tiny-cbor'
import { type Ceremony, PasskeyError, verifyAuthentication, verifyRegistration } from './webauthn.ts'

/** A new passkey and a login with it, in hexadecimal. */
interface Vector {
  challenge: string
  clientData: string
  authData: string
  login: { challenge: string; authData: string; clientData: string; signature: string }
}

/** The test vectors of WebAuthn 3: sections 16.2 (ES256, no attestation) and 16.11 (Ed25519). */
const VECTORS: [name: string, algorithm: number, vector: Vector][] = [
  [
    'ES256',
    -7,
    {
      challenge: '00c30fb78531c464d2b6771dab8d7b603c01162f2fa486bea70f283ae556e130',
      clientData:
        '7b2274797065223a22776562617574686e2e637265617465222c226368616c6c656e6765223a22414d4d507434557878475453746e63647134313759447742466938767049612d7077386f4f755657345441222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a66616c73652c22657874726144617461223a22636c69656e74446174614a534f4e206d617920626520657874656e6465642077697468206164646974696f6e616c206669656c647320696e20746865206675747572652c207375636820617320746869733a20426b5165446a646354427258426941774a544c453551227d',
      authData:
        'bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b559000000008446ccb9ab1db374750b2367ff6f3a1f0020f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4a5010203262001215820afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df61225820930a56b87a2fca66334b03458abf879717c12cc68ed73290af2e2664796b9220',
      login: {
        challenge: '39c0e7521417ba54d43e8dc95174f423dee9bf3cd804ff6d65c857c9abf4d408',
        authData: 'bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b51900000000',
        clientData:
          '7b2274797065223a22776562617574686e2e676574222c226368616c6c656e6765223a224f63446e55685158756c5455506f334a5558543049393770767a7a59425039745a63685879617630314167222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a66616c73657d',
        signature:
          '3046022100f50a4e2e4409249c4a853ba361282f09841df4dd4547a13a87780218deffcd380221008480ac0f0b93538174f575bf11a1dd5d78c6e486013f937295ea13653e331e87',
      },
    },
  ],
  [
    'Ed25519',
    -8,
    {
      challenge: 'a8abf9dabdc6b0df63466b39bda9e8a34a34e185337a59f1c579990676d3b3bd',
      clientData:
        '7b2274797065223a22776562617574686e2e637265617465222c226368616c6c656e6765223a22714b763532723347734e396a526d733576616e6f6f306f303459557a656c6e7878586d5a426e6254733730222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a66616c73652c22657874726144617461223a22636c69656e74446174614a534f4e206d617920626520657874656e6465642077697468206164646974696f6e616c206669656c647320696e20746865206675747572652c207375636820617320746869733a20425f44543567375a445f2d394f544c59583549764551227d',
      authData:
        'bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b54100000000d5aa33581e8ca478e20fe713f5d32ff20020ce9f840ed96599580cd140fbc7bb3230633f50f61041aff73308ae71caa8a2bda401010327200621582044e06ddd331c36a8dc667bab52bcae63486c916aa5e339e6acebaa84934bf832',
      login: {
        challenge: '895957e01c633a698348a2d8a31a54b7db27e8c1c43b2080d79ae2190267bfd2',
        authData: 'bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b50100000000',
        clientData:
          '7b2274797065223a22776562617574686e2e676574222c226368616c6c656e6765223a2269566c583442786a4f6d6d44534b4c596f7870557439736e364d48454f7943413135726947514a6e763949222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a66616c73657d',
        signature:
          'f5c59c7e46c34f6f8cc197101ddf9934fa2595f68eb1913a637e8419eb9ba4cfdfc48f85393bc0d40b011f0d6fecb097d6607525713223a0dc0d453993dae00b',
      },
    },
  ],
]

const bytes = (hex: string) => Buffer.from(hex, 'hex')
const base64url = (data: Uint8Array) => Buffer.from(data).toString('base64url')
const FLAGS = 32
const [VERIFIED, BACKED_UP] = [0x04, 0x10]
const ID = { start: 37 + 16 + 2, length: 32 }

function ceremony(challenge: string, changes: Partial<Ceremony> = {}): Ceremony {
  const isChallenge = (answered: Uint8Array) => bytes(challenge).equals(answered)
  return { rpId: 'example.org', origins: ['https://example.org'], isChallenge, ...changes }
}

/** Authenticator data with another bit of its flags. */
function flipped(authData: Buffer, bit: number): Buffer {
  const copy = Buffer.from(authData)
  copy[FLAGS] = (copy[FLAGS] ?? 0) ^ bit
  return copy
}

function registration(authData: Buffer, clientData: string) {
  const id = base64url(authData.subarray(ID.start, ID.start + ID.length))
  const object = new Map<string, string | Uint8Array | Map<string, never>>([
    ['fmt', 'none'],
    ['attStmt', new Map<string, never>()],
    ['authData', new Uint8Array(authData)],
  ])
  const response = { clientDataJSON: base64url(bytes(clientData)), attestationObject: base64url(encodeCBOR(object)) }
  return { id, rawId: id, type: 'public-key', response }
}

function failure(verification: () => unknown): string {
  try {
    verification()
  } catch (error) {
    if (error instanceof PasskeyError) return error.message
    throw error
  }
  return 'none'
}

describe.each(VECTORS)('check 46: the vector of WebAuthn 3 for %s', (_, algorithm, vector) => {
  const { login } = vector
  const authData = bytes(vector.authData)
  // The vectors were made without user verification, which we require.
  const withUser = flipped(authData, VERIFIED)
  const passkey = verifyRegistration(ceremony(vector.challenge), registration(withUser, vector.clientData))
  const response = {
    clientDataJSON: base64url(bytes(login.clientData)),
    authenticatorData: base64url(bytes(login.authData)),
    signature: base64url(bytes(login.signature)),
  }
  const answer = { id: 'AA', rawId: 'AA', type: 'public-key', response }

  test('has a key that verifies its login', () => {
    expect(passkey.algorithm as number).toBe(algorithm)
    expect(passkey.credentialId).toEqual(authData.subarray(ID.start, ID.start + ID.length))
    const key = createPublicKey({ key: passkey.publicKey, format: 'der', type: 'spki' })
    const hash = createHash('sha256').update(bytes(login.clientData)).digest()
    const signed = Buffer.concat([bytes(login.authData), hash])
    expect(verify(algorithm === -8 ? null : 'sha256', signed, key, bytes(login.signature))).toBeTrue()
  })

  test('is refused as it stands, because its user was not verified', () => {
    const created = registration(authData, vector.clientData)
    expect(failure(() => verifyRegistration(ceremony(vector.challenge), created))).toBe('the user was not verified')
    expect(failure(() => verifyAuthentication(ceremony(login.challenge), answer, passkey))).toBe(
      'the user was not verified',
    )
  })

  test('is refused with a flag that was set after it was signed', () => {
    const changed = base64url(flipped(bytes(login.authData), VERIFIED))
    const forged = { ...answer, response: { ...response, authenticatorData: changed } }
    expect(failure(() => verifyAuthentication(ceremony(login.challenge), forged, passkey))).toBe(
      'the signature is wrong',
    )
  })

  test.each<[string, Partial<Ceremony>, string]>([
    ['another relying party', { rpId: 'example.com' }, 'the RP id is wrong'],
    ['another origin', { origins: ['https://example.com', 'https://example.org/'] }, 'the origin is not allowed'],
    ['another challenge', { isChallenge: () => false }, 'the challenge is not valid'],
  ])('is refused for %s', (_what, changes, reason) => {
    const created = registration(withUser, vector.clientData)
    expect(failure(() => verifyRegistration(ceremony(vector.challenge, changes), created))).toBe(reason)
    expect(failure(() => verifyAuthentication(ceremony(login.challenge, changes), answer, passkey))).toBe(reason)
  })

  test('is refused as the other kind of ceremony, and with a backup that is not possible', () => {
    const created = registration(withUser, login.clientData)
    expect(failure(() => verifyRegistration(ceremony(login.challenge), created))).toBe(
      'the type of the client data is wrong',
    )
    const isBackedUp = ((authData[FLAGS] ?? 0) & BACKED_UP) !== 0
    // 0x08: eligible for backup.
    const impossible = flipped(withUser, isBackedUp ? 0x08 : BACKED_UP)
    expect(
      failure(() => verifyRegistration(ceremony(vector.challenge), registration(impossible, vector.clientData))),
    ).toBe('a backup that is not possible')
  })

  test('is refused when cut short anywhere', () => {
    for (let length = 0; length < withUser.length; length++) {
      const created = { ...registration(withUser, vector.clientData) }
      const cut = registration(withUser.subarray(0, length), vector.clientData).response
      const reason = failure(() => verifyRegistration(ceremony(vector.challenge), { ...created, response: cut }))
      expect([length, reason]).not.toEqual([length, 'none'])
    }
  })
})
