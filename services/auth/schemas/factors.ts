import { type Static, t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { bodyInteger, integer, oneFieldOf, oneOf, strict, text, time, trimmed, uuid } from '../../kit/schema/schema.ts'
import { CHALLENGE_ID, challengeId, id } from './fields.ts'
import { credential, newCredential } from './passkeys.ts'
import { token } from './tokens.ts'
import { tokensV0 } from './v0.ts'

const RECOVERY_CODE = 'k3vq-7m2d-x5hw-ab4n-z6ty-2pcr'

/** A second factor of a user. */
export const factor = strict({
  id: id('The factor'),
  kind: described(oneOf('totp', 'passkey'), '`totp`: an app that shows codes'),
  name: t.String({ description: 'The name that the user has given it', examples: ['Authenticator app'] }),
  created_at: described(time(), 'When it was added'),
  last_used_at: t.Nullable(time(), { description: 'When it was last used; null: never' }),
  transports: t.Optional(
    t.Array(t.String({ examples: ['internal'] }), { description: 'How browsers reach a passkey' }),
  ),
  backed_up: t.Optional(t.Boolean({ description: 'Whether a passkey is synchronized' })),
})
export type Factor = Static<typeof factor>

export const factorList = strict({
  items: t.Array(factor, { description: 'The factors, oldest first' }),
  recovery_codes_left: described(integer(), 'How many recovery codes were not used yet', 10),
})
export type FactorList = Static<typeof factorList>

export const factorParams = t.Object({ id: described(uuid(), 'The factor') })
export const userParams = t.Object({ user_id: described(uuid(), 'The user') })
const name = trimmed(text({ least: 1, most: 64, description: 'The name of the factor', examples: ['Work phone'] }))
export const renameBody = strict({ name })

/** Names the login that waits for the enrolment; without it the caller's session adds the factor. */
const waiting = { challenge_id: t.Optional(challengeId) }
export const enrolmentBody = t.Optional(strict(waiting))
export const confirmBody = strict({
  id: described(uuid(), 'The `id` of the new secret'),
  code: text({ least: 1, most: 64, description: 'The code that the app shows', examples: ['042817'] }),
  ...waiting,
})
export const passkeyBody = strict({ credential: newCredential, name: t.Optional(name), ...waiting })

/** A new secret for an app that shows codes. */
export const newTotp = strict({
  id: id('The secret: send it with its first code'),
  secret: t.String({ description: 'The secret in Base32, to type', examples: ['JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'] }),
  uri: t.String({
    description: 'The secret as apps read it',
    examples: ['otpauth://totp/Ch202:ana%40example.org?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Ch202'],
  }),
  qr: t.String({
    description: 'The same as a QR code: an SVG',
    examples: ['<svg xmlns="http://www.w3.org/2000/svg"/>'],
  }),
})
export type NewTotp = Static<typeof newTotp>

const codes = t.Array(t.String({ examples: [RECOVERY_CODE] }), {
  description: 'Ten codes, each for one login without the factor. They are shown once',
})
export const recoveryCodes = strict({ recovery_codes: codes })

/** The tokens of a session, in the form of the login that opened it. */
export const openedTokens = t.Union([token, tokensV0])

export const enrolled = strict({
  factor: described(factor, 'The new factor'),
  recovery_codes: t.Optional(codes),
  tokens: t.Optional(described(openedTokens, 'The tokens of the login that waited for the factor')),
})
export type EnrolledAnswer = Static<typeof enrolled>

/** An app of a user that another product has enrolled. */
export const factorImport = strict({
  secret: text({
    least: 16,
    most: 256,
    description: 'The secret in Base32',
    examples: ['JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'],
  }),
  algorithm: t.Optional(described(oneOf('SHA1', 'SHA256', 'SHA512'), 'The hash function; without it `SHA1`')),
  digits: t.Optional(described(bodyInteger(6, 8), 'How many digits a code has; without it 6', 6)),
  period: t.Optional(described(bodyInteger(15, 120), 'Seconds for which a code is shown; without it 30', 30)),
  name: t.Optional(name),
})
export type FactorImport = Static<typeof factorImport>

const typedCode = text({
  least: 1,
  most: 64,
  controls: true,
  description: 'The code that the app shows, or a recovery code',
  examples: ['042817'],
})
/** An answer to `second_factor_required`. */
export const secondFactorBody = strict(
  { challenge_id: challengeId, code: t.Optional(typedCode), credential: t.Optional(credential) },
  {
    description: 'Exactly one of code and credential',
    ...oneFieldOf('code', 'credential'),
    examples: [{ challenge_id: CHALLENGE_ID, code: '042817' }],
  },
)

export const reauthenticationBody = strict(
  {
    password: t.Optional(
      text({
        least: 1,
        most: 256,
        controls: true,
        description: 'The current password, of a user without a second factor',
        examples: ['correct horse battery'],
      }),
    ),
    code: t.Optional(typedCode),
    credential: t.Optional(credential),
  },
  {
    description: 'Exactly one of password, code and credential',
    ...oneFieldOf('password', 'code', 'credential'),
    examples: [{ password: 'correct horse battery' }],
  },
)

/** Whether a session lacks the second factor of its user. */
export const missing = strict({ missing: t.Boolean({ description: 'Whether the session lacks the second factor' }) })
