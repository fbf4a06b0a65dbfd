import { descriptorOf } from '../../services/registry.ts'
import { type Documented, operationsOf } from '../openapi/document.ts'
import { createUser, newEmail, PASSWORD, registerUser, type TestUser } from '../support/actors.ts'
import { as, awaitReadiness, call } from '../support/http.ts'
import { enableNeededModules, ownedValues } from '../support/owned-resources.ts'
import type { Name } from '../support/settings.ts'
import type { System } from '../support/system.ts'
import { appValues, clientValues } from './client-values.ts'
import { factorValues, isAboutFactors, verifyEmails } from './factor-values.ts'
import { mailedValues } from './mailed-values.ts'
import { type Caller, SUPPORT_PERSON } from './policy.ts'

/** An operation, and the services whose documents describe it. */
export interface Served extends Documented {
  at: Name[]
}

/** Every operation of the served documents. Enables the modules that operations need. */
export async function servedOperations(system: System): Promise<Map<string, Served>> {
  const served = new Map<string, Served>()
  for (const [name, base] of Object.entries(system.url) as [Name, string][]) {
    // Pages are no operations.
    if (!descriptorOf(name).documentedRoutes) continue
    const { body } = await call(base, 'GET /swagger/json')
    for (const one of operationsOf(body)) {
      const entry = served.get(one.call) ?? { ...one, at: [] }
      entry.at.push(name)
      served.set(one.call, entry)
    }
  }
  await enableNeededModules(system, served.values())
  return served
}

/** Users, one of whom owns the resource of a request, and the values that name the resource, by field. */
export interface Fixture {
  owner: TestUser
  other: TestUser
  admin: TestUser
  /** Part of the owner's username, and of no other. */
  unique: string
  /** A field that is null is left out of a body. */
  values: Record<string, unknown>
}

type Others = Pick<Fixture, 'other' | 'admin'>

/** The other users, without the one whose session a request of `caller` may end. */
export function outlasting(caller: Caller, { admin, other }: Others): Partial<Others> {
  if (caller === 'another user') return { admin }
  return caller === 'an admin' ? { other } : { admin, other }
}

/** Creates what one operation may use up: a user, and a module, key or token if the path needs one. */
export async function fixtureFor(
  system: System,
  { call: name }: Documented,
  others: Partial<Others> = {},
): Promise<Fixture> {
  const unique = Bun.randomUUIDv7().slice(-12)
  const [owner, other, admin] = await Promise.all([
    registerUser(system, { username: `ana-${unique}` }),
    others.other ?? registerUser(system),
    others.admin ?? createUser(system, { roles: ['USER', 'ADMIN'] }),
  ])
  const makes = /\/(register|users|user|import|invited|invitations)$/.test(name)
  const values: Fixture['values'] = {
    id: owner.id,
    user_id: owner.id,
    session_id: owner.tokens.session_id,
    email: makes ? newEmail() : owner.email,
    username: makes ? `bob-${unique}` : `ana-${unique}`,
    login: owner.email,
    password: PASSWORD,
    current_password: PASSWORD,
    token: owner.tokens.access_token,
    refresh_token: owner.tokens.refresh_token,
    refreshToken: owner.tokens.refresh_token,
  }
  if (name.includes('{module_id}')) values.module_id = await newModule(system)
  if (name.endsWith('/modules/sync/feed')) values.module = values.module_id = await newModule(system)
  Object.assign(values, await ownedValues(system, name, owner), await clientValues(system, name))
  Object.assign(values, await appValues(system, name, owner))
  if (name.endsWith(' /api/v1/modules')) values.id = `module-${unique}`
  if (/\/(audit|email-changed|account-mail)$/.test(name)) values.id = Bun.randomUUIDv7()
  // On a busy machine a lease may have been lost for a moment.
  if (name.endsWith('/health/ready')) await awaitReadiness(system)
  if (name.includes('webhooks')) values.url = 'http://127.0.0.1:9/hook'
  if (name.includes('{webhook_id}')) {
    const { url } = values
    const webhook = await call(system.url.auth, 'POST /admin/webhooks', { headers: as.operator, body: { url } })
    values.webhook_id = webhook.body.id
  }
  if (name.includes('{kid}')) {
    const rotated = await call(system.url.auth, 'POST /admin/keys/rotate?now=true', { headers: as.operator })
    values.kid = rotated.body.kid
  }
  if (name.endsWith('email-change-request')) values.new_email = newEmail()
  if (name.endsWith('invitation-accept')) values.new_password = 'a wholly new password'
  Object.assign(values, await mailedValues(system, name, owner))
  if (isAboutFactors(name)) {
    await verifyEmails(system, [owner, other, admin])
    Object.assign(values, await factorValues(system, name, owner))
  }
  return { owner, other, admin, unique, values }
}

export async function newModule(system: System): Promise<string> {
  const id = `module-${Bun.randomUUIDv7()}`
  const body = { id, name: 'Module', description: 'One of its own' }
  await call(system.url.modules, 'POST /modules', { headers: as.operator, body })
  return id
}

/** The caller of operations that only apps may call: an app that has a token for the owner. */
export const AN_APP = 'an app'

export function credentialsOf(
  caller: Caller | typeof AN_APP,
  { admin, other, owner, values }: Omit<Fixture, 'values' | 'unique'> & Partial<Pick<Fixture, 'values'>>,
): Record<string, string> {
  switch (caller) {
    case AN_APP:
      return as.bearer(String(values?.app_token))
    case 'no one':
      return {}
    case 'another user':
      return as.bearer(other.tokens.access_token)
    case 'the owner':
      return as.bearer(owner.tokens.access_token)
    case 'an admin':
      return as.bearer(admin.tokens.access_token)
    case 'the operator key':
      return as.operator
    case 'the internal key':
      return as.internal
  }
}

interface Sent {
  line: string
  body?: unknown
  headers: Record<string, string>
}

/** The query parameters of operations whose schema requires none, because their lack has an answer of its own. */
const NEEDED_PARAMETERS: Record<string, readonly string[]> = {
  'GET /api/v1/auth/authorizations': [
    ...['client_id', 'redirect_uri', 'response_type', 'scope'],
    ...['code_challenge', 'code_challenge_method'],
  ],
}

/** Whether a request must have a query parameter to succeed. */
export function isNeeded(call: string, { name, required }: { name: string; required?: boolean | undefined }): boolean {
  return required === true || (NEEDED_PARAMETERS[call] ?? []).includes(name)
}

/** The callers who name the owner in a query or a body where anyone else means themself. */
const NAMING: readonly string[] = ['an admin', 'the operator key', SUPPORT_PERSON]

/**
 * A valid request of `caller` about the owner. Operators must name the owner.
 * @param also optional fields of the query or the body to include
 */
export function requestOf(
  { call: name, operation }: Documented,
  { values }: Pick<Fixture, 'values'>,
  caller: Caller | typeof SUPPORT_PERSON | typeof AN_APP,
  also: readonly string[] = NAMING.includes(caller) ? ['user_id'] : [],
): Sent {
  const query = (operation.parameters ?? [])
    .filter((one) => one.in === 'query' && (isNeeded(name, one) || also.includes(one.name)))
    .map((one) => `${one.name}=${encodeURIComponent(String(values[one.name] ?? one.example))}`)
  const path = name.replace(/\{(\w+)\}/g, (_, parameter: string) => encodeURIComponent(String(values[parameter])))
  const line = query.length > 0 ? `${path}?${query.join('&')}` : path

  const [type, media] = Object.entries(operation.requestBody?.content ?? {})[0] ?? []
  if (!type || !media) return { line, headers: {} }
  const isLimited = caller === SUPPORT_PERSON && name.startsWith('PATCH ') && name.endsWith('/users/{user_id}')
  const body: Record<string, unknown> = isLimited ? { status: 'disabled' } : { ...(media.example as object) }
  for (const field of Object.keys(body)) {
    if (values[field] === null) delete body[field]
    else body[field] = values[field] ?? body[field]
  }
  for (const field of also)
    if (fieldsOf(operation).includes(field) && !isReplaced(media.schema, field, body)) body[field] = values[field]
  return { line, body: type === 'application/json' ? body : JSON.stringify(body), headers: { 'content-type': type } }
}

/** Whether the body has another field in place of this one. */
function isReplaced(schema: object, field: string, body: object): boolean {
  const { oneOf = [] } = schema as { oneOf?: { required?: string[] }[] }
  const alternatives = oneOf.flatMap(({ required = [] }) => required)
  return alternatives.includes(field) && alternatives.some((other) => other in body)
}

/** The fields that an operation's body may have. */
export function fieldsOf({ requestBody }: Documented['operation']): string[] {
  const schemas = Object.values(requestBody?.content ?? {}).map(({ schema }) => schema as { properties?: object })
  return schemas.flatMap(({ properties = {} }) => Object.keys(properties))
}
