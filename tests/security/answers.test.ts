import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { SERVICE_NAMES } from '../../services/registry.ts'
import { createUser, logIn, newEmail, PASSWORD, registerUser, type TestUser } from '../support/actors.ts'
import { rowsOfAdded } from '../support/added-services.ts'
import { FIELDS, OAUTH_CALL } from '../support/expectations.ts'
import { enrolApp } from '../support/factors.ts'
import { type Answer, as, call } from '../support/http.ts'
import { ownedValues } from '../support/owned-resources.ts'
import { inProcess, type System } from '../support/system.ts'
import { appValues } from './client-values.ts'
import { MAIL_SETTINGS } from './mailed-values.ts'
import {
  AN_APP,
  credentialsOf,
  type Fixture,
  fixtureFor,
  newModule,
  requestOf,
  type Served,
  servedOperations,
} from './operations.ts'
import { CALLERS, type Caller, isForApps, may, POLICY, successOf } from './policy.ts'

/** The fields of a user and some more, in alphabetical order. */
const userWith = (...more: string[]) => [...FIELDS.user, ...more].sort().join(' ')
const USER = userWith()
const recordWith = (...more: string[]) =>
  userWith('password_hash', 'password_version', 'user_id', ...more).replace(/\bid /, '')
const RECORD = recordWith()
const SYNCED_RECORD = recordWith('all_sessions_from', 'session_kept', 'sessions_from', 'tokens_from')
const TOKEN = 'access_token expires_in refresh_expires_in refresh_token session_id token_type'
const SESSION = 'amr auth_time client_id created_at current expires_at id ip last_used_at user_agent user_id'
const MODULE = 'available description enabled enabled_at id name required_roles requires version'
const JWK = 'alg crv kid kty use x'
const KEY = 'alg created_at kid status'
const WEBHOOK = 'created_at description id status types url'
const MAIL = 'created_at id kind last_error sent_at status to tries user_id'
const FACTOR = 'created_at id kind last_used_at name'
const FACTORS = `items[${FACTOR}] recovery_codes_left`
const CLIENT = [
  'backchannel_logout_uri created_at first_party grant_types id id_token_alg kind name post_logout_redirect_uris',
  'redirect_uris require_pkce resources scopes status token_auth_method',
].join(' ')
const CLIENT_WITH_SECRET = `${CLIENT} client_secret`.split(' ').sort().join(' ')
const MAILED = 'challenge_id message'
const AUTHORIZATION = 'client{first_party id name} outcome redirect_to scopes'
/** RFC 8414, 2; OpenID Connect Discovery, 3. */
const METADATA = [
  'acr_values_supported authorization_endpoint authorization_response_iss_parameter_supported',
  'backchannel_logout_session_supported backchannel_logout_supported',
  `ch202{${SERVICE_NAMES.toSorted().join(' ')}} claims_parameter_supported claims_supported`,
  'code_challenge_methods_supported end_session_endpoint grant_types_supported',
  'id_token_signing_alg_values_supported introspection_endpoint introspection_endpoint_auth_methods_supported',
  'introspection_endpoint_auth_signing_alg_values_supported issuer jwks_uri prompt_values_supported',
  'request_parameter_supported request_uri_parameter_supported response_modes_supported response_types_supported',
  'revocation_endpoint revocation_endpoint_auth_methods_supported scopes_supported subject_types_supported',
  'token_endpoint token_endpoint_auth_methods_supported token_endpoint_auth_signing_alg_values_supported',
  'ui_locales_supported userinfo_endpoint',
].join(' ')
const USER_V0 = 'email id roles'
const TOKEN_V0 = 'accessToken refreshToken{exp token userId}'
const PROBLEM = 'code error message requestId statusCode'
const OAUTH_PROBLEM = 'code error error_description message requestId statusCode'
const NOTHING = ''

const page = (item: string) => `items[${item}] next_cursor page pages size total`

/** Keys of each operation's answer at every depth, in alphabetical order, the same for every caller. */
const ANSWERS: Record<string, string> = {
  'POST /api/v1/auth/register': userWith('challenge_id', `tokens{${TOKEN}}`),
  'POST /api/v1/auth/login': TOKEN,
  'POST /api/v1/auth/refresh': TOKEN,
  'POST /api/v1/auth/token/refresh': TOKEN,
  'POST /api/v1/auth/logout': NOTHING,
  'POST /api/v1/auth/logout-all': 'revoked',
  'GET /api/v1/auth/me': USER,
  'POST /api/v1/auth/validate-token': 'expires_at roles session_id user_id valid',
  'POST /api/v1/auth/introspect':
    'active amr aud auth_time client_id email exp iat iss jti roles sid sub token_type username',
  'POST /api/v1/auth/revoke': NOTHING,
  'GET /api/v1/auth/sessions': page(SESSION),
  'GET /api/v1/auth/activity': page('at detail id ip request_id type'),
  'DELETE /api/v1/auth/sessions': 'revoked',
  'DELETE /api/v1/auth/sessions/{session_id}': NOTHING,
  'POST /api/v1/auth/password-reset-request': 'message',
  'POST /api/v1/auth/password-reset-confirm': NOTHING,
  'POST /api/v1/auth/email-verification-request': MAILED,
  'POST /api/v1/auth/email-verification-confirm': 'email email_verified',
  'POST /api/v1/auth/email-code-request': MAILED,
  'POST /api/v1/auth/email-code-login': TOKEN,
  'POST /api/v1/auth/email-change-request': MAILED,
  'POST /api/v1/auth/email-change-confirm': USER,
  'POST /api/v1/auth/email-change-undo': NOTHING,
  'POST /api/v1/auth/invitation-accept': TOKEN,
  'POST /api/v1/auth/device-confirm': `${TOKEN} device_token`.split(' ').sort().join(' '),
  'POST /api/v1/auth/reauthenticate': 'access_token auth_time expires_in token_type',
  'POST /api/v1/auth/second-factor': TOKEN,
  'POST /api/v1/auth/passkeys/login-options': 'allowCredentials challenge rpId timeout userVerification',
  'POST /api/v1/auth/passkeys/login': TOKEN,
  'GET /api/v1/auth/factors': FACTORS,
  'POST /api/v1/auth/factors/totp': 'id qr secret uri',
  'POST /api/v1/auth/factors/totp/confirm': `factor{${FACTOR}} recovery_codes`,
  'POST /api/v1/auth/passkeys/options': [
    'attestation authenticatorSelection{requireResidentKey residentKey userVerification} challenge',
    'excludeCredentials pubKeyCredParams[alg type] rp{id name} timeout user{displayName id name}',
  ].join(' '),
  'POST /api/v1/auth/passkeys': `factor{backed_up ${FACTOR} transports} recovery_codes`,
  'POST /api/v1/auth/recovery-codes': 'recovery_codes',
  'PATCH /api/v1/auth/factors/{id}': FACTOR,
  'DELETE /api/v1/auth/factors/{id}': NOTHING,
  'GET /api/v1/admin/users/{user_id}/factors': FACTORS,
  'POST /api/v1/admin/users/{user_id}/factors': FACTOR,
  'DELETE /api/v1/admin/users/{user_id}/factors': NOTHING,
  'POST /api/v1/admin/users/{user_id}/password-reset': 'message',
  'GET /api/v1/auth/sessions/{session_id}/second-factor': 'missing',
  'GET /api/v1/.well-known/jwks.json': `keys[${JWK}]`,
  'GET /api/v1/.well-known/oauth-authorization-server': METADATA,
  'GET /api/v1/.well-known/openid-configuration': METADATA,
  'GET /api/v1/auth/authorizations': AUTHORIZATION,
  'POST /api/v1/auth/authorizations': AUTHORIZATION,
  'GET /api/v1/auth/grants': 'items[client_id client_name created_at id last_used_at offline scopes]',
  'DELETE /api/v1/auth/grants/{grant_id}': NOTHING,
  'POST /api/v1/auth/logout-requests': 'client{id name} confirmed redirect_to',
  'GET /api/v1/oauth/userinfo': 'sub',
  'POST /api/v1/oauth/userinfo': 'sub',
  'POST /api/v1/oauth/token': 'access_token expires_in scope token_type',
  'POST /api/v1/admin/clients': CLIENT_WITH_SECRET,
  'GET /api/v1/admin/clients': `items[${CLIENT}]`,
  'GET /api/v1/admin/clients/{client_id}': CLIENT,
  'PATCH /api/v1/admin/clients/{client_id}': CLIENT,
  'DELETE /api/v1/admin/clients/{client_id}': NOTHING,
  'POST /api/v1/admin/clients/{client_id}/secret': CLIENT_WITH_SECRET,
  'POST /api/v1/users': USER,
  'GET /api/v1/users': page(USER),
  'GET /api/v1/users/export': `[${USER}]`,
  'POST /api/v1/users/import': '[id line status]',
  'GET /api/v1/users/{user_id}': USER,
  'GET /api/v1/users/by-username/{username}': USER,
  'GET /api/v1/users/by-email/{email}': USER,
  'PUT /api/v1/users/{user_id}': USER,
  'PATCH /api/v1/users/{user_id}': USER,
  'DELETE /api/v1/users/{user_id}': NOTHING,
  'POST /api/v1/users/{user_id}/change-password': NOTHING,
  'POST /api/v1/users/{user_id}/set-password': NOTHING,
  'POST /api/v1/users/{user_id}/erase': 'user_id',
  'POST /api/v1/users/verify-credentials': `user{${USER}} valid`,
  'GET /api/v1/users/{user_id}/password-hash': RECORD,
  'POST /api/v1/users/{user_id}/password': NOTHING,
  'GET /api/v1/users/password-hashes': `items[${RECORD}] next_cursor`,
  'POST /api/v1/users/{user_id}/password-changed': NOTHING,
  'POST /api/v1/users/{user_id}/proof': `outcome record{${SYNCED_RECORD}} was_verified`,
  'POST /api/v1/users/invited': `created user{${USER}}`,
  'POST /api/v1/users/announcements/send': 'done',
  'POST /api/v1/auth/sync/password': NOTHING,
  'POST /api/v1/auth/sync/passwords': NOTHING,
  'POST /api/v1/auth/sync/user-deleted': NOTHING,
  'POST /api/v1/auth/sync/user-erased': NOTHING,
  'POST /api/v1/auth/sync/email-changed': NOTHING,
  'POST /api/v1/auth/sync/account-mail': NOTHING,
  'POST /api/v1/auth/sync/events': NOTHING,
  'POST /api/v1/auth/audit': NOTHING,
  'GET /api/v1/auth/revocations': `audience complete epoch issuer keys[${JWK}] revoked[kind subject until version] seq wanted`,
  'GET /api/v1/admin/password-cache': page('email password_version status synced_at user_id username'),
  'DELETE /api/v1/admin/password-cache/{user_id}': NOTHING,
  'POST /api/v1/admin/password-cache/sync': 'duration_ms removed synced unchanged',
  'GET /api/v1/admin/keys': `items[${KEY}]`,
  'POST /api/v1/admin/keys/rotate': KEY,
  'DELETE /api/v1/admin/keys/{kid}': NOTHING,
  'GET /api/v1/admin/audit': page('actor at detail id ip request_id type user_id'),
  'GET /api/v1/admin/audit/chain':
    'head{hash seq} items[actor at detail detail_seal id ip origin_seal prev_hash request_id row_hash seq type user_id] next_cursor',
  'GET /api/v1/admin/mails': page(MAIL),
  'POST /api/v1/admin/mails/{mail_id}/retry': MAIL,
  'POST /api/v1/admin/mails/test': MAIL,
  'POST /api/v1/admin/invitations': `expires_at user{${USER}}`,
  'GET /api/v1/admin/login-limits': 'address failures last_failed_at paused_until user_id',
  'GET /api/v1/admin/refused-logins': 'items[at code ip paused paused_until request_id user_id]',
  'POST /api/v1/admin/webhooks': 'created_at description id secret status types url',
  'GET /api/v1/admin/webhooks': `items[${WEBHOOK}]`,
  'PATCH /api/v1/admin/webhooks/{webhook_id}': WEBHOOK,
  'DELETE /api/v1/admin/webhooks/{webhook_id}': NOTHING,
  'GET /api/v1/admin/webhooks/deliveries': page(
    'at event_id finished_at id last_error last_status next_at status target tries type user_id',
  ),
  'POST /api/v1/admin/webhooks/replay': 'replayed',
  'GET /api/v1/modules': `items[${MODULE}]`,
  'GET /api/v1/modules/{module_id}': MODULE,
  'POST /api/v1/modules/{module_id}/enable': MODULE,
  'POST /api/v1/modules/{module_id}/disable': MODULE,
  'POST /api/v1/modules': MODULE,
  'PATCH /api/v1/modules/{module_id}': MODULE,
  'DELETE /api/v1/modules/{module_id}': NOTHING,
  'GET /api/v1/modules/{module_id}/users': page('enabled_at user_id'),
  'GET /api/v1/modules/users/{user_id}': 'modules user_id',
  'GET /api/v1/modules/sync/feed': 'choices[enabled user] complete epoch module{default roles} reset seq',
  'POST /api/v1/modules/sync/user-deleted': NOTHING,
  'GET /api/v1/health': 'service status uptime_s version',
  'GET /api/v1/health/db': 'latency_ms status',
  'GET /api/v1/health/ready': 'status',
  'GET /api/v1/health/cache': 'entries hit_ratio hits last_sync_at misses pending',
  'GET /api/v1/metrics': 'text',
  'POST /auth/register': USER_V0,
  'POST /auth/login': TOKEN_V0,
  'POST /auth/refresh': TOKEN_V0,
  'GET /user/{id}': USER_V0,
  'POST /user': USER_V0,
  'DELETE /user/{id}': USER_V0,
  ...rowsOfAdded('answers'),
}

/** Keys that depend on the type of the event; the test of the audit checks them. */
const OPEN = ['detail']

/** The keys of an answer in the notation of the table. Elements of a list that differ are separated by a bar. */
function keysOf({ body, headers, text }: Pick<Answer, 'body' | 'headers' | 'text'>): string {
  const type = headers.get('content-type')?.split(';')[0]
  if (type === 'application/x-ndjson')
    return keysIn(
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    )
  return type === 'text/plain' ? 'text' : keysIn(body)
}

function keysIn(value: unknown): string {
  if (Array.isArray(value)) {
    const kinds = [...new Set(value.map(keysIn))].filter((kind) => kind !== '')
    return kinds.length > 0 ? `[${kinds.sort().join(' | ')}]` : ''
  }
  if (typeof value !== 'object' || value === null) return ''
  const inner = (key: string, of: unknown) => {
    const keys = OPEN.includes(key) ? '' : keysIn(of)
    return keys === '' || keys.startsWith('[') ? keys : `{${keys}}`
  }
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, of]) => key + inner(key, of))
    .join(' ')
}

/** Codes of problems that have one error per field. */
const OF_FIELDS = ['validation_failed', 'weak_password', 'email_taken', 'username_taken']
const PROBLEM_OF_FIELDS = 'code error errors[code field message] message requestId statusCode'

describe('check 20: the keys of', () => {
  let system: System
  let operations: Map<string, Served>
  let others: Pick<Fixture, 'other' | 'admin'>
  beforeAll(async () => {
    system = await inProcess(MAIL_SETTINGS)
    operations = await servedOperations(system)
    others = { other: await registerUser(system), admin: await createUser(system, { roles: ['USER', 'ADMIN'] }) }
  })
  afterAll(() => system?.stop())

  const ask = (one: Served, fixture: Fixture, caller: Caller | typeof AN_APP) => {
    const { line, headers, ...rest } = requestOf(one, fixture, caller)
    return call(system.url.auth, line, { headers: { ...credentialsOf(caller, fixture), ...headers }, ...rest })
  }
  /** Adds an item to each list. */
  const fill = async (fixture: Fixture, name: string) => {
    const id = (fixture.values.module_id as string | undefined) ?? (await newModule(system))
    const headers = as.bearer(fixture.owner.tokens.access_token)
    await call(system.url.modules, `POST /modules/${id}/enable`, { headers })
    if (name.includes('refused')) await lock(fixture.owner)
    await ownedValues(system, name, fixture.other)
    if (name.endsWith('/auth/grants'))
      for (const user of [fixture.other, fixture.admin]) await appValues(system, name, user)
    if (!name.endsWith('/auth/factors')) return
    for (const { tokens } of [fixture.other, fixture.admin]) await enrolApp(system, tokens.access_token, Date.now())
  }
  const lock = ({ email }: TestUser) =>
    Promise.all(Array.from({ length: 11 }, () => logIn(system, email, 'a wrong guess')))

  test('the table are those of exactly the existing operations', () => {
    expect(Object.keys(ANSWERS).toSorted()).toEqual([...operations.keys()].toSorted())
  })

  test.each(POLICY)('$call', async (policy) => {
    const one = operations.get(policy.call)
    if (!one) throw new Error('No document has it')
    const reads = policy.call.startsWith('GET')
    // Those who get a factor are used for nothing else.
    const fixture = await fixtureFor(system, one, policy.call.endsWith('/auth/factors') ? {} : others)
    if (reads) await fill(fixture, policy.call)
    // Refused callers come first. Only one of the callers who change something, and not the user that all share.
    const refused = CALLERS.filter((caller) => !may(policy, caller))
    const allowed = CALLERS.filter((caller) => may(policy, caller) && (reads || caller !== 'another user'))
    for (const caller of [...refused, ...(reads ? allowed : allowed.slice(0, 1))]) {
      const answer = await ask(one, fixture, caller)
      const refusal = OAUTH_CALL.test(policy.call.replace('POST ', '')) ? OAUTH_PROBLEM : PROBLEM
      const keys = may(policy, caller) ? ANSWERS[policy.call] : refusal
      expect([caller, answer.status, keysOf(answer)]).toEqual([caller, policy.statuses[caller], keys ?? ''])
    }
    if (!isForApps(policy)) return
    const answer = await ask(one, fixture, AN_APP)
    expect([answer.status, keysOf(answer)]).toEqual([successOf(policy), ANSWERS[policy.call] ?? ''])
  })

  const lines = { ...as.operator, 'content-type': 'application/x-ndjson' }
  test.each<[string, string, Parameters<typeof call>[2], string]>([
    ['a malformed token', 'POST /auth/validate-token', { body: { token: 'x' } }, 'reason valid'],
    ['an inactive token', 'POST /auth/introspect', { headers: as.internal, body: { token: 'x' } }, 'active'],
    [
      'a wrong password',
      'POST /users/verify-credentials',
      { headers: as.internal, body: { login: 'nobody', password: 'x' } },
      'valid',
    ],
    [
      'an export with hashes',
      'GET /users/export?with_hashes=true',
      { headers: as.operator },
      // The user who was invited has no hash.
      `[${userWith('password_hash')} | ${USER}]`,
    ],
    [
      'a line that fails',
      'POST /users/import',
      { headers: lines, body: '{"email":"nothing","password_hash":"x"}' },
      '[code line message status]',
    ],
  ])('%s', async (_, request, options, keys) => {
    const answer = await call(system.url.users, request, options)
    expect([answer.status, keysOf(answer)]).toEqual([200, keys])
  })

  test('every kind of failure', async () => {
    const user = await registerUser(system)
    const bearer = as.bearer(user.tokens.access_token)
    const rows: [number, string, Parameters<typeof call>[2]][] = [
      [400, 'POST /api/v1/auth/login', { body: {} }],
      [400, 'POST /users', { body: '{', headers: { 'content-type': 'application/json' } }],
      [400, 'POST /users', { body: { email: newEmail(), password: 'password1' } }],
      [400, 'POST /auth/password-reset-confirm', { body: { token: 'x', new_password: PASSWORD } }],
      [401, 'POST /api/v1/auth/login', { body: { login: 'nobody', password: 'x' } }],
      [401, 'POST /api/v1/auth/refresh', { body: { refresh_token: 'x' } }],
      [401, 'GET /users', { headers: as.bearer('x.y.z') }],
      [401, 'GET /users', { headers: { 'x-api-key': 'x' } }],
      [403, 'PATCH /users/'.concat(user.id), { headers: bearer, body: { roles: ['ADMIN'] } }],
      [404, 'GET /nothing', {}],
      [404, 'GET /modules/nothing', { headers: bearer }],
      [404, 'GET /users/nobody', { headers: bearer }],
      [405, 'PATCH /auth/login', {}],
      [409, 'POST /users', { body: { email: user.email, password: PASSWORD } }],
      [413, 'POST /users', { body: { email: 'x'.repeat(70_000) } }],
      [415, 'POST /users', { body: 'x', headers: { 'content-type': 'text/plain' } }],
      [429, 'POST /api/v1/auth/login', { body: { login: user.email, password: PASSWORD } }],
    ]
    await lock(user)
    for (const [status, request, options] of rows) {
      const answer = await call(system.url.auth, request, options)
      const keys = OF_FIELDS.includes(answer.body.code) ? PROBLEM_OF_FIELDS : PROBLEM
      const seen = keysOf(answer).replace(' limit', '')
      expect([request, answer.status, seen]).toEqual([request, status, keys])
    }
  })
})
