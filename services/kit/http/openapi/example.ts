type Schema = Record<string, unknown>

const ID = '0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e'
const TIME = '2026-11-20T10:00:00.000Z'
const ADDRESS = 'https://auth.example.org'

const BY_FORMAT: Record<string, string> = { uuid: ID, 'date-time': TIME, 'idn-email': 'ana@example.org' }

/** A field of this name means the same in every service, so its example stands here once. */
const BY_NAME: Record<string, unknown> = {
  // Users.
  id: ID,
  user_id: ID,
  email: 'ana@example.org',
  username: 'ana',
  login: 'ana@example.org',
  name: 'Ana',
  roles: ['USER'],
  email_verified: false,
  has_password: true,
  password_hash: '$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy',
  // Tokens and sessions.
  session_id: ID,
  access_token: 'eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiIwMTk4YzdhMiJ9.c2lnbmF0dXJl',
  token: 'eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiIwMTk4YzdhMiJ9.c2lnbmF0dXJl',
  accessToken: 'eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiIwMTk4YzdhMiJ9.c2lnbmF0dXJl',
  refresh_token: 'MDE5OGM3YTItN2YzZS03YzIxLTlkNWItM2Y2YTFiMmM0ZDVl',
  expires_in: 3600,
  refresh_expires_in: 604_800,
  token_type: 'Bearer',
  token_type_hint: 'access_token',
  sub: ID,
  jti: ID,
  sid: ID,
  client_id: 'ch202',
  iat: 1_795_168_800,
  exp: 1_795_172_400,
  iss: ADDRESS,
  aud: 'ch202',
  ip: '192.0.2.1',
  user_agent: 'Mozilla/5.0',
  // Keys, and where things are.
  kid: '3f6a1b2c4d5e',
  alg: 'EdDSA',
  x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
  issuer: ADDRESS,
  audience: 'ch202',
  jwks_uri: `${ADDRESS}/.well-known/jwks.json`,
  introspection_endpoint: `${ADDRESS}/auth/introspect`,
  revocation_endpoint: `${ADDRESS}/auth/revoke`,
  introspection_endpoint_auth_methods_supported: [],
  revocation_endpoint_auth_methods_supported: ['none'],
  response_types_supported: [],
  grant_types_supported: [],
  // What is written down and passed on.
  type: 'session.opened',
  actor: `user:${ID}`,
  subject: ID,
  request_id: ID,
  epoch: ID,
  follower: 'users',
  after: '0',
  module_id: 'billing',
  webhook_id: ID,
  message: 'If the address is known, a mail with a link is on its way',
  // Lists.
  search: 'ana',
  page: 1,
  size: 50,
  limit: 200,
  cursor: 'WyIzazF4IiwiMDE5OGM3YTIiXQ',
  next_cursor: null,
  // Health.
  service: 'auth',
  version: '1.0.0',
  uptime_s: 3600,
  latency_ms: 0.4,
  hit_ratio: 0.98,
}

/**
 * A value that a JSON Schema allows: its own example where it has one, else the one of its name, else one made of its
 * parts.
 */
export function sample(schema: Schema, name = ''): unknown {
  if (Array.isArray(schema.examples) && schema.examples.length > 0) return schema.examples[0]
  if ('const' in schema) return schema.const
  if (Array.isArray(schema.enum)) return schema.enum[0]
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type
  if (Object.hasOwn(BY_NAME, name) && fits(BY_NAME[name], type)) return BY_NAME[name]
  const choices = schema.anyOf ?? schema.oneOf
  if (Array.isArray(choices)) return sample(choices[0] as Schema)
  if (type === 'object') {
    const properties = Object.entries((schema.properties ?? {}) as Record<string, Schema>)
    return Object.fromEntries(properties.map(([key, property]) => [key, sample(property, key)]))
  }
  if (type === 'array') return schema.items ? [sample(schema.items as Schema)] : []
  if (type === 'integer' || type === 'number') return schema.minimum ?? 1
  if (type === 'boolean') return true
  if (type === 'null' || type === undefined) return null
  return BY_FORMAT[String(schema.format)] ?? 'text'.padEnd(Number(schema.minLength ?? 0), 'x')
}

/** Whether a value is of the first type that a schema names. What may be absent is shown so: a cursor on the last page. */
function fits(value: unknown, type: unknown): boolean {
  if (Array.isArray(value)) return type === 'array'
  if (typeof value === 'number') return type === 'integer' || type === 'number'
  return value === null || typeof value === type
}
