import { type Static, t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { oneOf, queryFlag, strict, time } from '../../kit/schema/schema.ts'
import { TOKEN_ALGS } from '../../kit/tokens/algorithms.ts'

const KID = 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k'

export const signingKey = strict({
  kid: t.String({ description: 'The id of the key, as in the header of the tokens that it signed', examples: [KID] }),
  alg: t.String({ description: 'The signature algorithm', examples: ['EdDSA'] }),
  created_at: described(time(), 'When the key was created'),
  status: described(
    oneOf('pending', 'active', 'retiring'),
    '`pending`: published, will sign next; `active`: signs; `retiring`: its tokens are valid until they expire',
  ),
})
export const signingKeys = strict({ items: t.Array(signingKey, { description: 'The signing keys' }) })

export const rotateQuery = strict({
  now: t.Optional(described(queryFlag(), '`true`: the new key signs at once, without the lead time')),
  alg: t.Optional(
    described(oneOf(...TOKEN_ALGS), 'The signature algorithm of the new key, one that is in use. Default: `TOKEN_ALG`'),
  ),
})
export type RotateQuery = Static<typeof rotateQuery>

export const keyParams = t.Object({ kid: t.String({ description: 'The id of the key', examples: [KID] }) })
