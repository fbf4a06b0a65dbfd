import { type Static, type TProperties, type TSchema, Type } from '@sinclair/typebox'
import { userRead } from './user.ts'

// The events that webhooks and the message broker deliver. Their schemas are open, so that a field that is added later
// does not break a client that validates against them.

/** The types of events. Each has its schema in `docs/integrate/events.md`. */
export const EVENT_TYPES = [
  'user.created',
  'user.updated',
  'user.deleted',
  'password.changed',
  'session.created',
  'session.revoked',
  'device.confirmed',
  'factor.added',
  'factor.removed',
  'recovery_code.used',
  'module.enabled',
  'module.disabled',
] as const

export type EventType = (typeof EVENT_TYPES)[number]

const id = (description: string) => Type.String({ format: 'uuid', description })
const oneOf = <T extends string>(values: readonly T[], description: string) =>
  Type.Unsafe<T>({ type: 'string', enum: values, description })
const textOrNull = (description: string) => Type.Union([Type.String(), Type.Null()], { description })
const data = <T extends TProperties>(properties: T) =>
  Type.Object({ user_id: id('The id of the user whom the event is about'), ...properties })

const { id: _id, created_at: _created, updated_at: _updated, ...changing } = userRead.properties
type UserField = keyof typeof changing
/** The fields of a user that can change. */
export const USER_FIELDS = Object.keys(changing) as UserField[]

const user = Type.Object(userRead.properties, {
  description: 'The user after the change, as GET /users/{user_id} answers',
})
const sessionId = id('The id of the session: the claim `sid` of its access tokens')
const factorId = id('The id of the second factor')
const factorKind = oneOf(['totp', 'passkey'] as const, 'An app that shows codes, or a passkey')
const moduleId = Type.String({ description: 'The id of the module' })

/** The reasons why a session ends before it expires. */
export const REVOCATION_REASONS = [
  'logout',
  'logout_all',
  'token_revoked',
  'user',
  'operator',
  'password_changed',
  'account_disabled',
  'account_deleted',
  'reuse_detected',
] as const

/** The data of each type of event. */
const DATA = {
  'user.created': data({ user }),
  'user.updated': data({
    user,
    fields: Type.Array(oneOf(USER_FIELDS, 'The name of a field'), {
      minItems: 1,
      uniqueItems: true,
      description: 'The fields of the user that changed',
    }),
  }),
  'user.deleted': data({}),
  'password.changed': data({
    by: oneOf(
      ['self', 'operator', 'reset', 'invitation'] as const,
      'Who changed it: the user, an operator, or someone with the link of a reset mail or of an invitation',
    ),
  }),
  'session.created': data({
    session_id: sessionId,
    kind: oneOf(['v1', 'v0'] as const, 'The API of the login: `v1`, or `v0` for that of version 0.0.1'),
    ip: textOrNull('The address of the client; null if unknown'),
    user_agent: textOrNull('The `User-Agent` header of the login; null if the client sent no such header'),
  }),
  'session.revoked': data({
    session_id: sessionId,
    reason: oneOf(REVOCATION_REASONS, 'Why the session ended before it expired'),
  }),
  'device.confirmed': data({
    device_id: id('The id of the device'),
    ip: textOrNull('The address of the client; null if unknown'),
    user_agent: textOrNull('The `User-Agent` header of the client; null if it sent no such header'),
  }),
  'factor.added': data({ factor_id: factorId, kind: factorKind }),
  'factor.removed': data({ factor_id: factorId, kind: factorKind }),
  'recovery_code.used': data({ left: Type.Integer({ minimum: 0, description: 'How many recovery codes are left' }) }),
  'module.enabled': data({ module_id: moduleId }),
  'module.disabled': data({ module_id: moduleId }),
} satisfies Record<EventType, TSchema>

/** The data of an event by its type, without the user. */
export type EventData = { [T in EventType]: Omit<Static<(typeof DATA)[T]>, 'user_id'> }

export type RevocationReason = (typeof REVOCATION_REASONS)[number]

/** The JSON Schema (2020-12) of the message of each type, as it is delivered. */
export const MESSAGE_SCHEMAS = Object.fromEntries(
  EVENT_TYPES.map((type) => [type, messageSchema(type, DATA[type])]),
) as Record<EventType, Record<string, unknown>>

function messageSchema(type: EventType, dataSchema: TSchema): Record<string, unknown> {
  const message = Type.Object({
    id: id('The id of the event, the same in every delivery. `webhook-id` is `msg_` followed by it'),
    type: Type.Literal(type),
    timestamp: Type.String({ format: 'date-time', description: 'When the event happened' }),
    data: dataSchema,
  })
  const schema = { $schema: 'https://json-schema.org/draft/2020-12/schema', ...message }
  // `nullable` belongs to OpenAPI 3.0; `anyOf` states it already.
  return JSON.parse(JSON.stringify(schema), (key, value) => (key === 'nullable' && value === true ? undefined : value))
}
