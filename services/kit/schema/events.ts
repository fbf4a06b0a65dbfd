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
  'module.enabled',
  'module.disabled',
] as const

export type EventType = (typeof EVENT_TYPES)[number]

const id = (description: string) => Type.String({ format: 'uuid', description })
const oneOf = <T extends string>(values: readonly T[], description: string) =>
  Type.Unsafe<T>({ type: 'string', enum: values, description })
const textOrNull = (description: string) => Type.Union([Type.String(), Type.Null()], { description })
const data = <T extends TProperties>(properties: T) => Type.Object({ user_id: id('Whom it is about'), ...properties })

const { id: _id, created_at: _created, updated_at: _updated, ...changing } = userRead.properties
type UserField = keyof typeof changing
/** What of a user can change. */
export const USER_FIELDS = Object.keys(changing) as UserField[]

const user = Type.Object(userRead.properties, { description: 'As GET /users/{user_id} answers it, after the change' })
const sessionId = id('As `sid` in the access tokens of the session')
const moduleId = Type.String({ description: 'As in GET /modules/{module_id}' })

/** Why a session may end before its time. */
export const REVOKED_BECAUSE = [
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

/** What each type of event says. */
const DATA = {
  'user.created': data({ user }),
  'user.updated': data({
    user,
    fields: Type.Array(oneOf(USER_FIELDS, 'A field'), { minItems: 1, uniqueItems: true, description: 'What changed' }),
  }),
  'user.deleted': data({}),
  'password.changed': data({
    by: oneOf(['self', 'operator', 'reset'] as const, 'The user, an operator, or whoever had the link of a reset mail'),
  }),
  'session.created': data({
    session_id: sessionId,
    kind: oneOf(['v1', 'v0'] as const, 'By which version of the API'),
    ip: textOrNull('The address that the login came from'),
    user_agent: textOrNull('What the client called itself'),
  }),
  'session.revoked': data({ session_id: sessionId, reason: oneOf(REVOKED_BECAUSE, 'Why it ended before its time') }),
  'module.enabled': data({ module_id: moduleId }),
  'module.disabled': data({ module_id: moduleId }),
} satisfies Record<EventType, TSchema>

/** What an event of a type says, beside whom it is about. */
export type EventData = { [T in EventType]: Omit<Static<(typeof DATA)[T]>, 'user_id'> }

export type RevokedBecause = (typeof REVOKED_BECAUSE)[number]

/** The JSON Schema (2020-12) of a message of each type, as the outside gets it. */
export const MESSAGE_SCHEMAS = Object.fromEntries(
  EVENT_TYPES.map((type) => [type, published(type, DATA[type])]),
) as Record<EventType, Record<string, unknown>>

function published(type: EventType, said: TSchema): Record<string, unknown> {
  const message = Type.Object({
    id: id('The same however often the event is told: as `webhook-id`'),
    type: Type.Literal(type),
    timestamp: Type.String({ format: 'date-time', description: 'When it happened' }),
    data: said,
  })
  const schema = { $schema: 'https://json-schema.org/draft/2020-12/schema', ...message }
  // `nullable` is OpenAPI 3.0's, and said by `anyOf` already.
  return JSON.parse(JSON.stringify(schema), (key, value) => (key === 'nullable' && value === true ? undefined : value))
}
