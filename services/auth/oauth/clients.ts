import type { Caller } from '../../kit/caller.ts'
import { timestamp } from '../../kit/clock.ts'
import type { Complaint } from '../../kit/field-errors.ts'
import { invalid, invalidField, Problem } from '../../kit/problem.ts'
import type { Config } from '../../kit/process/config.ts'
import { isUuid } from '../../kit/random.ts'
import { EVERY_VERSION } from '../../kit/tokens/revocations.ts'
import { type RecentContext, requireRecentUser } from '../assurance/recent.ts'
import { type AuditRecordContext, auditEvent } from '../audit/record.ts'
import type { KeyRotation } from '../keys/rotation.ts'
import { longestTokenLife, type TokenLifeStore } from '../keys/token-life.ts'
import type { ClientBody, ClientUpdate } from '../schemas/clients.ts'
import type { RevocationFeed } from '../sessions/revocation-feed.ts'
import type { Client, ClientSettings, ClientStore, GrantStore } from '../store/index.ts'
import { clientSecretHash } from './client-authentication.ts'
import { clientErrors, takesRightsAway } from './client-rules.ts'

export interface ClientsContext extends AuditRecordContext, RecentContext {
  store: ClientStore & Pick<GrantStore, 'removeGrantsOf'> & TokenLifeStore & RecentContext['store']
  feed: Pick<RevocationFeed, 'announce'>
  /** Gives the algorithms of ID tokens that clients use their keys. */
  rotation: Pick<KeyRotation, 'addKeyFor' | 'followClients'>
  config: Pick<Config, 'jwtExpire' | 'oauthPrivateHosts'> & RecentContext['config']
}

const CLIENTS_MAX = 1000
/** 256 bits. */
const SECRET_BYTES = 32
const TOO_MANY: Complaint = {
  code: 'too_many',
  message: `would exceed the limit of ${CLIENTS_MAX} clients: delete one first`,
  limit: CLIENTS_MAX,
}

/** Lists all clients, oldest first. */
export async function listClients({ store }: Pick<ClientsContext, 'store'>) {
  return { items: (await store.clients()).map(clientRead) }
}

/** Returns a client. @throws Problem `client_not_found` */
export async function getClient({ store }: Pick<ClientsContext, 'store'>, id: string) {
  return clientRead(await clientById(store, id))
}

/** @throws Problem `client_not_found`, also for text that is no id */
async function clientById(store: ClientStore, id: string): Promise<Client> {
  const client = await store.client(checkedId(id))
  if (!client) throw new Problem('client_not_found')
  return client
}

/** Any other text than an id names no client, and the database may refuse it. @throws Problem `client_not_found` */
function checkedId(text: string): string {
  const id = text.toLowerCase()
  if (!isUuid(id)) throw new Problem('client_not_found')
  return id
}

/**
 * Adds a client. Only this answer has its secret, if it authenticates with one.
 * @throws Problem `client_exists`, `validation_failed`, `reauthentication_required`
 */
export async function createClient(context: ClientsContext, body: ClientBody, caller: Caller) {
  await requireRecentUser(context, caller)
  const { clock, config, random, rotation, store } = context
  const settings = newSettings(body)
  const errors = clientErrors(settings, config.oauthPrivateHosts)
  if (errors.length > 0) throw invalid(errors)
  const client: Client = { ...settings, id: random.id(), createdAt: clock.now(), version: 1, grantsFrom: 0 }
  const secret = hasSecret(client) ? newSecret(context) : null
  const { id, kind, name, scopes } = client
  const event = auditEvent(context, caller, 'client.created', null, { client_id: id, name, kind, scopes })
  const outcome = await store.addClient(client, secret === null ? null : clientSecretHash(secret), CLIENTS_MAX, event)
  if (outcome === 'too_many') throw invalidField('body', TOO_MANY)
  if (outcome === 'name_taken') throw new Problem('client_exists')
  await rotation.followClients(caller)
  return { ...clientRead(client), ...(secret === null ? {} : { client_secret: secret }) }
}

/**
 * Changes a client. If it loses rights, its tokens are refused everywhere when this resolves.
 * @throws Problem `client_not_found`, `client_exists`, `validation_failed`, `reauthentication_required`
 */
export async function updateClient(context: ClientsContext, clientId: string, body: ClientUpdate, caller: Caller) {
  await requireRecentUser(context, caller)
  const id = checkedId(clientId)
  const { config, feed, rotation, store } = context
  await addKey(context, id, body, caller)
  const event = auditEvent(context, caller, 'client.updated', null, { client_id: id, fields: Object.keys(body).sort() })
  const change = await store.changeClient(
    id,
    (before) => {
      const client = { ...before, ...changedSettings(before, body) }
      const errors = clientErrors(client, config.oauthPrivateHosts)
      if (errors.length > 0) throw invalid(errors)
      // If it gets them back, it gets others: the earlier ones may be known by then.
      const endsSecrets = hasSecret(before) && !hasSecret(client)
      return { client, endsTokens: takesRightsAway(before, client), endsSecrets }
    },
    await lastTokenEnds(context),
    event,
  )
  if (change.outcome === 'not_found') throw new Problem('client_not_found')
  if (change.outcome === 'name_taken') throw new Problem('client_exists')
  await feed.announce(change.ended)
  if (change.client.status === 'disabled') await store.removeGrantsOf(id, change.client.version)
  await rotation.followClients(caller)
  return clientRead(change.client)
}

/** Adds the key that a client needs after a change, before it is changed: from then on requests need the key. */
async function addKey(
  { config, rotation, store }: ClientsContext,
  id: string,
  body: ClientUpdate,
  caller: Caller,
): Promise<void> {
  const before = await store.client(id)
  if (!before) return
  const client = { ...before, ...changedSettings(before, body) }
  // The rule of `idTokenAlgs`.
  const needsKey =
    client.status === 'active' &&
    (client.grantTypes.includes('authorization_code') || client.backchannelLogoutUri !== null)
  if (needsKey && clientErrors(client, config.oauthPrivateHosts).length === 0)
    await rotation.addKeyFor(client.idTokenAlg, caller)
}

/**
 * Deletes a client. Its tokens are refused everywhere when this resolves.
 * @throws Problem `client_not_found`, `reauthentication_required`
 */
export async function deleteClient(context: ClientsContext, clientId: string, caller: Caller): Promise<void> {
  await requireRecentUser(context, caller)
  const id = checkedId(clientId)
  const event = auditEvent(context, caller, 'client.deleted', null, { client_id: id })
  const ended = await context.store.removeClient(id, await lastTokenEnds(context), event)
  if (!ended) throw new Problem('client_not_found')
  await context.feed.announce(ended)
  await context.store.removeGrantsOf(id, EVERY_VERSION)
  await context.rotation.followClients(caller)
}

/**
 * Gives a client another secret. The one before goes on working, so that the client can be changed meanwhile; the one before
 * that does not.
 * @param isOnlyOne whether all others stop working, because they are known to others
 * @throws Problem `client_not_found`, `validation_failed` for a client without secrets, `reauthentication_required`
 */
export async function rotateClientSecret(
  context: ClientsContext,
  clientId: string,
  isOnlyOne: boolean,
  caller: Caller,
) {
  await requireRecentUser(context, caller)
  const { clock, store } = context
  const client = await clientById(store, clientId)
  const { id } = client
  if (!hasSecret(client)) throw invalidField('client_id', NO_SECRET)
  const secret = newSecret(context)
  const event = auditEvent(context, caller, 'client.secret_rotated', null, { client_id: id, only: isOnlyOne })
  const added = { clientId: id, hash: clientSecretHash(secret), createdAt: clock.now() }
  if (!(await store.addClientSecret(added, isOnlyOne, event))) throw new Problem('client_not_found')
  return { ...clientRead(client), client_secret: secret }
}

const NO_SECRET: Complaint = { code: 'not_allowed', message: 'must be a client that authenticates with a secret' }

function hasSecret({ tokenAuthMethod }: Pick<Client, 'tokenAuthMethod'>): boolean {
  return tokenAuthMethod.startsWith('client_secret')
}

function newSecret({ random }: Pick<ClientsContext, 'random'>): string {
  return random.bytes(SECRET_BYTES).toString('base64url')
}

/** Returns when the last token that a client has now expires, in milliseconds since the epoch. `JWT_EXPIRE` may have been longer. */
async function lastTokenEnds({ clock, config, store }: Pick<ClientsContext, 'clock' | 'config' | 'store'>) {
  return clock.now() + Math.max(config.jwtExpire, await longestTokenLife(store))
}

function newSettings(body: ClientBody): ClientSettings {
  const { kind = 'confidential', redirect_uris: redirectUris = [] } = body
  const isForUsers = kind === 'public' || redirectUris.length > 0
  const secretMethod = body.jwks_uri === undefined ? 'client_secret_basic' : 'private_key_jwt'
  return {
    ...changedSettings(
      {
        name: body.name,
        kind,
        firstParty: false,
        redirectUris,
        postLogoutRedirectUris: [],
        backchannelLogoutUri: null,
        grantTypes: isForUsers ? ['authorization_code', 'refresh_token'] : ['client_credentials'],
        scopes: isForUsers ? ['openid', 'profile', 'email'] : [],
        resources: [],
        idTokenAlg: 'RS256',
        tokenAuthMethod: kind === 'public' ? 'none' : secretMethod,
        jwksUri: null,
        requirePkce: true,
        status: 'active',
      },
      body,
    ),
    kind,
  }
}

function changedSettings(before: ClientSettings, body: ClientUpdate): ClientSettings {
  return {
    name: body.name ?? before.name,
    kind: before.kind,
    firstParty: body.first_party ?? before.firstParty,
    redirectUris: body.redirect_uris ?? before.redirectUris,
    postLogoutRedirectUris: body.post_logout_redirect_uris ?? before.postLogoutRedirectUris,
    backchannelLogoutUri:
      body.backchannel_logout_uri === undefined ? before.backchannelLogoutUri : body.backchannel_logout_uri,
    grantTypes: body.grant_types ?? before.grantTypes,
    scopes: body.scopes ?? before.scopes,
    resources: body.resources ?? before.resources,
    idTokenAlg: body.id_token_alg ?? before.idTokenAlg,
    tokenAuthMethod: body.token_auth_method ?? before.tokenAuthMethod,
    jwksUri: body.jwks_uri === undefined ? before.jwksUri : body.jwks_uri,
    requirePkce: body.require_pkce ?? before.requirePkce,
    status: body.status ?? before.status,
  }
}

function clientRead(client: Client) {
  return {
    id: client.id,
    name: client.name,
    kind: client.kind,
    first_party: client.firstParty,
    redirect_uris: client.redirectUris,
    post_logout_redirect_uris: client.postLogoutRedirectUris,
    backchannel_logout_uri: client.backchannelLogoutUri,
    grant_types: client.grantTypes,
    scopes: client.scopes,
    resources: client.resources,
    id_token_alg: client.idTokenAlg,
    token_auth_method: client.tokenAuthMethod,
    ...(client.jwksUri === null ? {} : { jwks_uri: client.jwksUri }),
    require_pkce: client.requirePkce,
    status: client.status,
    created_at: timestamp(client.createdAt),
  }
}
