import { createHash } from 'node:crypto'
import type { Caller } from '../../kit/caller.ts'
import { type Clock, MINUTE, SECOND } from '../../kit/clock.ts'
import { Problem } from '../../kit/problem.ts'
import { isUuid } from '../../kit/random.ts'
import { type AuditRecordContext, auditEvent } from '../audit/record.ts'
import type { KeyRing } from '../keys/ring.ts'
import type { AuthorizationAnswer, AuthorizationBody, AuthorizationParameters } from '../schemas/authorizations.ts'
import { isUsable } from '../sessions/rotation.ts'
import type {
  Account,
  AccountStore,
  Client,
  ClientStore,
  FactorStore,
  GrantStore,
  Session,
  SessionStore,
} from '../store/index.ts'
import {
  type AuthorizationError,
  type AuthorizationRequest,
  authorizationRequest,
  requireRedirectUri,
} from './authorization-request.ts'
import { readIdToken } from './jwt.ts'
import { redirectTo } from './redirect-uri.ts'

export interface AuthorizeContext extends AuditRecordContext {
  store: Pick<AccountStore, 'accountById'> &
    Pick<ClientStore, 'client'> &
    Pick<FactorStore, 'secondFactorMethods'> &
    Pick<SessionStore, 'sessionById'> &
    GrantStore
  clock: Clock
  issuer: string
  keyRing: Pick<KeyRing, 'idTokenKey'>
}

const CODE_LIFE = 60 * SECOND
const CODE_BYTES = 32
/** For how long a person may take for a sign-in that a request has asked for. */
const SIGN_IN_MAX = 30 * MINUTE

/** A checked request. */
interface Checked {
  client: Client
  redirectUri: string
  request: AuthorizationRequest | AuthorizationError
}

/**
 * Checks an authorization request of somebody who is not signed in.
 * @throws Problem `invalid_authorization` when the browser must not be sent to the client
 */
export async function checkAuthorization(
  context: Pick<AuthorizeContext, 'issuer' | 'store'>,
  parameters: AuthorizationParameters,
): Promise<AuthorizationAnswer> {
  const checked = await check(context, parameters)
  const { request } = checked
  if ('error' in request) return refusal(context, checked, parameters, request)
  if (request.prompts.includes('none')) return refusal(context, checked, parameters, LOGIN_REQUIRED)
  return answer(checked, 'sign_in', null)
}

/**
 * Answers an authorization request for the user of a session, with a code if nothing is to be asked.
 * @throws Problem `invalid_authorization` as above; `token_revoked` when the session has ended
 */
export async function authorize(
  context: AuthorizeContext,
  body: AuthorizationBody,
  caller: Caller,
): Promise<AuthorizationAnswer> {
  const { clock, store } = context
  const checked = await check(context, body)
  const { client, request } = checked
  if ('error' in request) return refusal(context, checked, body, request)
  const session = caller.sessionId === null ? null : await store.sessionById(caller.sessionId)
  const account = session ? ((await store.accountById(session.userId)) ?? undefined) : undefined
  if (!session || !isUsable(session, account, clock.now())) throw new Problem('token_revoked')

  const isSilent = request.prompts.includes('none')
  const signIn = await signInNeeded(context, { body, request, session })
  if (signIn !== 'no')
    return isSilent || signIn === 'other user'
      ? refusal(context, checked, body, LOGIN_REQUIRED)
      : answer(checked, 'sign_in', null)
  if (body.consent === 'denied') return refusal(context, checked, body, DENIED)
  if (body.consent !== 'given' && (await mustConsent(context, client, request, account)))
    return isSilent ? refusal(context, checked, body, CONSENT_REQUIRED) : answer(checked, 'consent', null)
  if (body.consent === 'given' && !client.firstParty)
    await rememberConsent(context, client, request, { caller, session })
  const code = await issueCode(context, checked, request, { account, session })
  return answer(checked, 'redirect', codeAnswer(context, checked, body, code))
}

const LOGIN_REQUIRED = { error: 'login_required', description: 'The user must sign in' }
const CONSENT_REQUIRED = { error: 'consent_required', description: 'The user must give their consent' }
const DENIED = { error: 'access_denied', description: 'The user refused' }

async function check({ store }: { store: Pick<ClientStore, 'client'> }, parameters: AuthorizationParameters) {
  const { client_id = '' } = parameters
  const client = isUuid(client_id) ? await store.client(client_id) : null
  const redirectUri = requireRedirectUri(client, parameters)
  return { client: client as Client, redirectUri, request: authorizationRequest(client as Client, parameters) }
}

function answer(
  { client: { firstParty, id, name }, request }: Checked,
  outcome: AuthorizationAnswer['outcome'],
  redirect_to: string | null,
): AuthorizationAnswer {
  const scopes = 'error' in request ? [] : request.scopes
  return { outcome, client: { id, name, first_party: firstParty }, scopes, redirect_to }
}

/** An error that the client gets. It names its issuer, so that clients of several cannot mix them up (RFC 9207). */
function refusal(
  { issuer: iss }: Pick<AuthorizeContext, 'issuer'>,
  checked: Checked,
  { state }: AuthorizationParameters,
  { description, error }: AuthorizationError,
): AuthorizationAnswer {
  const parameters = { error, error_description: description, state, iss }
  return answer(checked, 'redirect', redirectTo(checked.redirectUri, parameters))
}

function codeAnswer(
  { issuer: iss }: Pick<AuthorizeContext, 'issuer'>,
  { redirectUri }: Checked,
  { state }: AuthorizationParameters,
  code: string,
): string {
  return redirectTo(redirectUri, { code, state, iss })
}

/**
 * Whether the user must authenticate again before the client may have a code.
 * @returns `other user` when they have just done so, and are still not the user whom the client expects
 */
async function signInNeeded(
  context: Pick<AuthorizeContext, 'clock' | 'issuer' | 'keyRing' | 'store'>,
  of: { body: AuthorizationBody; request: AuthorizationRequest; session: Session },
): Promise<'no' | 'yes' | 'other user'> {
  const { clock, issuer, keyRing } = context
  const { body, session } = of
  if (body.id_token_hint !== undefined) {
    const hint = readIdToken(body.id_token_hint, { issuer, key: (kid) => keyRing.idTokenKey(kid) })
    // The key of an old hint may be gone: then no sign-in makes it match, and asking again would never end.
    if (hint?.userId !== session.userId)
      return isNew(authTimeOf(session), body.started_at, clock.now()) ? 'other user' : 'yes'
  }
  return (await mustSignIn(context, of)) ? 'yes' : 'no'
}

function authTimeOf({ authTime, createdAt }: Session): number {
  return authTime || createdAt
}

/** Whether the request asks for a newer or a stronger authentication than the session has. */
async function mustSignIn(
  { clock, store }: Pick<AuthorizeContext, 'clock' | 'store'>,
  { body, request, session }: { body: AuthorizationBody; request: AuthorizationRequest; session: Session },
): Promise<boolean> {
  const now = clock.now()
  const authTime = authTimeOf(session)
  const asksAgain = request.prompts.includes('login') || request.prompts.includes('select_account')
  const maxAge = asksAgain ? 0 : request.maxAge
  if (maxAge !== undefined && !isNew(authTime, body.started_at, now) && (asksAgain || now - authTime > maxAge * SECOND))
    return true
  const values = (body.acr_values ?? '').split(' ').filter(Boolean)
  const asksTwoFactors = values.includes('aal2') && !values.includes('aal1')
  if (!asksTwoFactors || session.amr.includes('mfa')) return false
  // A user without a second factor gets the class that they have: the claim is voluntary (OpenID Connect Core, 3.1.2.1).
  return (await store.secondFactorMethods(session.userId)).length > 0
}

/** Whether the user authenticated since they came with the request. */
function isNew(authTime: number, startedAt: number | undefined, now: number): boolean {
  if (startedAt === undefined) return false
  const since = startedAt * SECOND
  return since <= now && now - since <= SIGN_IN_MAX && Math.floor(authTime / SECOND) >= startedAt
}

async function mustConsent(
  { store }: Pick<AuthorizeContext, 'store'>,
  client: Client,
  { prompts, scopes }: AuthorizationRequest,
  { userId }: Account,
): Promise<boolean> {
  if (client.firstParty) return false
  if (prompts.includes('consent')) return true
  const allowed = await store.consent(userId, client.id)
  return !scopes.every((scope) => allowed.includes(scope))
}

/** @throws Problem `token_revoked` when the session has just ended */
async function rememberConsent(
  context: AuthorizeContext,
  { id: clientId }: Client,
  { scopes }: AuthorizationRequest,
  { caller, session: { id: sessionId, userId } }: { caller: Caller; session: Session },
): Promise<void> {
  const { clock, store } = context
  const event = auditEvent(context, caller, 'grant.consented', userId, { client_id: clientId, scopes })
  const isStored = await store.giveConsent({ userId, sessionId, clientId, scopes, givenAt: clock.now() }, event)
  if (!isStored) throw new Problem('token_revoked')
}

async function issueCode(
  { clock, random, store }: AuthorizeContext,
  { client, redirectUri }: Checked,
  { codeChallenge, nonce, resource, scopes }: AuthorizationRequest,
  { account, session }: { account: Account; session: Session },
): Promise<string> {
  const code = random.bytes(CODE_BYTES).toString('base64url')
  const now = clock.now()
  await store.addCode({
    hash: codeHash(code),
    clientId: client.id,
    userId: account.userId,
    sessionId: session.id,
    redirectUri,
    scopes,
    resource,
    nonce,
    codeChallenge,
    createdAt: now,
    expiresAt: now + CODE_LIFE,
    version: account.version,
    authTime: session.authTime || session.createdAt,
    amr: session.amr,
    usedAt: null,
    grantId: null,
  })
  return code
}

/** The form in which a code is stored. It has 256 random bits. */
export function codeHash(code: string): Buffer {
  return createHash('sha256').update(code).digest()
}
