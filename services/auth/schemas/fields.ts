import { t } from 'elysia'
import { EMAIL_MAX } from '../../kit/schema/email.ts'
import { strict, text, typedName } from '../../kit/schema/schema.ts'

/** Examples that several subjects share. */
export const ACCESS_TOKEN = 'eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiIwMTk4YzdhMiJ9.c2lnbmF0dXJl'
export const REFRESH_TOKEN = 'MDE5OGM3YTItN2YzZS03YzIxLTlkNWItM2Y2YTFiMmM0ZDVl'
export const USER_AGENT = 'Mozilla/5.0'
export const IP_ADDRESS = '192.0.2.1'
export const REQUEST_ID = '0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e'

export const CHALLENGE_ID = 'm5cXnJ1YQm6p4bN0rD8wEA'

/** Names a challenge: a code by mail, or a login that waits. */
export const challengeId = text({
  least: 1,
  most: 128,
  description: 'The `challenge_id` of the answer that asked for this',
  examples: [CHALLENGE_ID],
})

/** A field of a request that contains a token of any kind. */
export const tokenText = (description: string, example: string) =>
  text({ least: 1, most: 8192, controls: true, description, examples: [example] })

/** An email or a username that someone types to log in. */
export const loginName = (description: string, example: string) =>
  typedName({ most: EMAIL_MAX, description, examples: [example] })

/** A UUID in an answer. */
export const id = (description: string) => t.String({ format: 'uuid', description })

/** A body without fields, which may be missing. */
export const emptyBody = t.Optional(strict({}))

/** An answer without fields. */
export const emptyAnswer = strict({})

/** The answer of a route that returns no body. */
export const noContent = { 204: t.Void() }
