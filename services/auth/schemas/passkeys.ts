import { type Static, t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { integer, nullable, open, strict, text } from '../../kit/schema/schema.ts'

import { challengeId } from './fields.ts'

// The objects that browsers take and give (WebAuthn 3, 5.1.8 to 5.1.10). Bytes are base64url.

const CREDENTIAL_ID = 'Fp9yQ0eKQ0iVwz2b0m0q3A'
const BYTES = 'dGhlIGJ5dGVz'

const bytes = (description: string, most: number) => text({ least: 1, most, description, examples: [BYTES] })
const common = {
  id: bytes('The id of the passkey', 1400),
  rawId: bytes('The id of the passkey again', 1400),
  type: text({ least: 1, most: 20, description: 'The type', examples: ['public-key'] }),
  authenticatorAttachment: t.Optional(t.Unknown({ description: 'Ignored', examples: ['platform'] })),
  clientExtensionResults: t.Optional(t.Unknown({ description: 'Ignored', examples: [{}] })),
}

/** `RegistrationResponseJSON`. Fields that browsers add are ignored. */
export const newCredential = described(
  open({
    ...common,
    response: described(
      open({
        clientDataJSON: bytes('What the browser signed', 8192),
        attestationObject: bytes('The new public key', 32768),
        transports: t.Optional(
          t.Unknown({ description: 'How browsers reach the authenticator: a list of words', examples: [['internal']] }),
        ),
      }),
      'The answer of the authenticator',
    ),
  }),
  'What `navigator.credentials` gave, by its `toJSON`',
)

/** `AuthenticationResponseJSON`. Fields that browsers add are ignored. */
export const credential = described(
  open({
    ...common,
    response: described(
      open({
        clientDataJSON: bytes('What the browser signed', 8192),
        authenticatorData: bytes('What the authenticator signed', 8192),
        signature: bytes('The signature', 2048),
        userHandle: t.Optional(nullable(text({ most: 128, description: 'Who signs in', examples: [BYTES] }))),
      }),
      'The answer of the authenticator',
    ),
  }),
  'What `navigator.credentials` gave, by its `toJSON`',
)

const passkeyId = t.String({ description: 'The id of a passkey', examples: [CREDENTIAL_ID] })
const type = t.Literal('public-key', { description: 'The type' })
const descriptors = (description: string) =>
  t.Array(
    strict({
      type,
      id: passkeyId,
      transports: t.Array(t.String({ examples: ['internal'] }), { description: 'How browsers reach it' }),
    }),
    { description },
  )
const challenge = t.String({ description: 'The challenge: 32 bytes, for one use within 5 minutes', examples: [BYTES] })
const timeout = described(integer(), 'Milliseconds until the challenge expires', 300_000)

export const loginOptionsBody = t.Optional(
  strict({ challenge_id: t.Optional(described(challengeId, 'The `challenge_id` of a login that waits')) }),
)
export const passkeyLoginBody = strict({ credential })

/** `PublicKeyCredentialRequestOptionsJSON`. */
export const passkeyOptions = strict({
  challenge,
  timeout,
  rpId: t.String({ description: 'The domain of the passkeys', examples: ['example.org'] }),
  allowCredentials: descriptors('The passkeys that may answer; empty: any'),
  userVerification: t.Literal('required', { description: 'By a PIN, a finger or a face' }),
})
export type PasskeyOptions = Static<typeof passkeyOptions>

/** `PublicKeyCredentialCreationOptionsJSON`. */
export const passkeyCreationOptions = strict({
  rp: described(
    strict({
      id: t.String({ description: 'The domain of the passkey', examples: ['example.org'] }),
      name: t.String({ description: 'The name of the product', examples: ['Ch202'] }),
    }),
    'The relying party',
  ),
  user: described(
    strict({
      id: t.String({ description: 'The user, by whom a sign-in finds the account', examples: [BYTES] }),
      name: t.String({ description: 'The email of the user', examples: ['ana@example.org'] }),
      displayName: t.String({ description: 'The name of the user, or else the email', examples: ['Ana'] }),
    }),
    'The user of the passkey',
  ),
  challenge,
  pubKeyCredParams: t.Array(strict({ type, alg: described(integer(), 'The algorithm, as COSE numbers it', -7) }), {
    description: 'The algorithms, best first',
  }),
  timeout,
  excludeCredentials: descriptors('The passkeys that the user has'),
  authenticatorSelection: described(
    strict({
      residentKey: t.Literal('required', { description: 'The passkey must be found without a name' }),
      requireResidentKey: t.Literal(true, { description: 'The same, for older browsers' }),
      userVerification: t.Literal('required', { description: 'By a PIN, a finger or a face' }),
    }),
    'The authenticators that may be used',
  ),
  attestation: t.Literal('none', { description: 'The model of the authenticator need not be proved' }),
})
export type PasskeyCreationOptions = Static<typeof passkeyCreationOptions>
