import type { AuditEvent } from '../../kit/outbox/audit.ts'
import type { TokenAlg } from '../../kit/tokens/algorithms.ts'

/** A signing key. Times are milliseconds since the epoch, by the wall clock. */
export interface StoredKey {
  kid: string
  alg: TokenAlg
  /** The public key, base64url. The private key has it too. */
  x: string
  sealedPrivateKey: Uint8Array
  /** `pending`: published, but not signing yet. */
  status: 'pending' | 'active' | 'retiring'
  /** When the key was created and published. */
  createdAt: number
  /** When the last token of a retiring key has expired. */
  goneAt: number | null
  /**
   * Whether the key may sign access tokens, so that services get it by the feed; otherwise it signs ID tokens alone. It never
   * changes: a key that verifiers do not have yet must not begin to sign access tokens.
   */
  forAccessTokens: boolean
}

/**
 * The stored key ring. Each change has a number in the revocation feed. Several nodes may change the keys at once, so each
 * change is decided in its transaction: of each algorithm at most one key is pending and at most one active, and one that
 * signs access tokens is always active.
 */
export interface KeyStore {
  signingKeys(): Promise<StoredKey[]>
  /**
   * Adds a pending key.
   * @param lease the change fails when this node does not have it
   * @returns the number of the change in the feed; null when another key of the algorithm is pending
   */
  addSigningKey(key: StoredKey, event: AuditEvent | null, lease?: string): Promise<number | null>
  /**
   * Adds a key that signs, unless one of its algorithm does already; if it is for access tokens, unless any such key does.
   * @returns the number of the change in the feed; null when it was not added
   */
  addFirstSigningKey(key: StoredKey, event: AuditEvent | null): Promise<number | null>
  /**
   * Makes a pending key the one of its algorithm that signs; the previous one stays until `goneAt`.
   * @param lease the change fails when this node does not have it
   * @returns the number of the change in the feed, which may forget it; null when there is no such pending key
   */
  activateSigningKey(
    kid: string,
    times: { now: number; goneAt: number },
    event: AuditEvent | null,
    lease?: string,
  ): Promise<number | null>
  /**
   * Retires an active key, unless a client uses its algorithm, or no other active key is for access tokens.
   * @param lease the change fails when this node does not have it
   * @returns whether the key retired
   */
  retireSigningKey(kid: string, goneAt: number, event: AuditEvent | null, lease?: string): Promise<boolean>
  /**
   * Removes a key, unless it is the active one.
   * @param until when the feed may forget this change, in milliseconds since the epoch
   * @returns the number of the change in the feed; null when there is no such key; `active` when it must stay
   */
  removeSigningKey(kid: string, until: number, event: AuditEvent | null): Promise<number | null | 'active'>
  /** Replaces the sealed form of a private key: the same key, sealed with another secret. */
  resealSigningKey(kid: string, sealedPrivateKey: Uint8Array): Promise<void>
}
