import type { AuditEvent } from '../../kit/outbox/audit.ts'
import type { TokenAlg } from '../../kit/tokens/algorithms.ts'
import type { Ended } from './revocations.ts'

/** How a client authenticates (OpenID Connect Core, 9; RFC 7591, 2). `none`: a public client, which has no secret. */
export type TokenAuthMethod = 'none' | 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt'

export type GrantType = 'authorization_code' | 'refresh_token' | 'client_credentials'

/** The settings of a client that an operator decides about. */
export interface ClientSettings {
  name: string
  kind: 'public' | 'confidential'
  /** Whether the app is one of the team's own: users are not asked for their consent. */
  firstParty: boolean
  redirectUris: string[]
  postLogoutRedirectUris: string[]
  backchannelLogoutUri: string | null
  grantTypes: GrantType[]
  scopes: string[]
  /** The resources (RFC 8707) that the client may get tokens for. */
  resources: string[]
  idTokenAlg: TokenAlg
  tokenAuthMethod: TokenAuthMethod
  /** The address of the public keys of a client with `private_key_jwt`. */
  jwksUri: string | null
  requirePkce: boolean
  status: 'active' | 'disabled'
}

/** An application that uses Ch202 by OAuth. Times are milliseconds since the epoch. */
export interface Client extends ClientSettings {
  id: string
  createdAt: number
  /** The version of its rights. When they shrink, tokens of older versions end. */
  version: number
  /** Grants of earlier versions have ended: the client was disabled since. */
  grantsFrom: number
}

/** The result of a change of a client. */
export type ClientChange =
  | { outcome: 'changed'; client: Client; ended: Ended }
  | { outcome: 'name_taken' }
  | { outcome: 'not_found' }

/** The clients and their secrets. */
export interface ClientStore {
  /** Returns all clients, oldest first. */
  clients(): Promise<Client[]>
  client(id: string): Promise<Client | null>
  /** Returns the algorithms that active clients with `authorization_code` or a `backchannel_logout_uri` use, each once. */
  idTokenAlgs(): Promise<TokenAlg[]>
  /**
   * Adds a client.
   * @param secretHash the SHA-256 of its secret; null: it has none
   * @param most how many clients there may be
   */
  addClient(
    client: Client,
    secretHash: Uint8Array | null,
    most: number,
    event: AuditEvent,
  ): Promise<'added' | 'name_taken' | 'too_many'>
  /**
   * Changes a client. If its rights shrink, the tokens that it has are revoked.
   * @param change returns the client as it shall be, and whether its tokens and its secrets end
   * @param lastTokenEnds when the last of its tokens expires, in milliseconds since the epoch
   */
  changeClient(
    id: string,
    change: (client: Client) => { client: Client; endsTokens: boolean; endsSecrets: boolean },
    lastTokenEnds: number,
    event: AuditEvent,
  ): Promise<ClientChange>
  /** Removes a client and revokes its tokens. @param lastTokenEnds as for `changeClient` @returns null when there is no such client */
  removeClient(id: string, lastTokenEnds: number, event: AuditEvent): Promise<Ended | null>
  /** Returns the SHA-256 of each secret of a client. */
  clientSecrets(id: string): Promise<Uint8Array[]>
  /**
   * Adds a secret. The client keeps at most one of its others, the newest.
   * @param isOnlyOne whether it keeps none
   * @returns false when there is no such client
   */
  addClientSecret(
    secret: { clientId: string; hash: Uint8Array; createdAt: number },
    isOnlyOne: boolean,
    event: AuditEvent,
  ): Promise<boolean>
  /**
   * Remembers an assertion of a client (RFC 7523, 3).
   * @param hash of the client and the `jti`
   * @param expiresAt until when it is remembered, in milliseconds since the epoch
   * @returns false when it was used before
   */
  useAssertion(hash: Uint8Array, expiresAt: number): Promise<boolean>
  /** Revokes one token of a client. @param until when that may be forgotten, in milliseconds since the epoch */
  revokeClientToken(jti: string, until: number, event: AuditEvent): Promise<Ended>
}
