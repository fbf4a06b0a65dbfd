import type { AuditEvent } from '../../kit/outbox/audit.ts'

/** A signing key. Times are milliseconds since the epoch, by the wall clock. */
export interface StoredKey {
  kid: string
  alg: string
  /** The public key, base64url. */
  x: string
  sealedPrivateKey: Uint8Array
  /** `pending`: published, but not signing yet. */
  status: 'pending' | 'active' | 'retiring'
  /** When the key was created and published. */
  createdAt: number
  /** When the last token of a retiring key has expired. */
  goneAt: number | null
}

/**
 * The stored key ring. Each change has a number in the revocation feed. Several nodes may change the keys at once, so each
 * change is decided in its transaction: at most one key is pending, and one is always active.
 */
export interface KeyStore {
  signingKeys(): Promise<StoredKey[]>
  /**
   * Adds a pending key.
   * @param lease the change fails when this node does not have it
   * @returns the number of the change in the feed; null when another key is pending
   */
  addSigningKey(key: StoredKey, event: AuditEvent | null, lease?: string): Promise<number | null>
  /** Adds a key that signs, unless there is one that signs already. */
  addFirstSigningKey(key: StoredKey): Promise<void>
  /**
   * Makes the pending key the one that signs; the previous one stays until `goneAt`.
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
   * Removes a key, unless it is the active one.
   * @param until when the feed may forget this change, in milliseconds since the epoch
   * @returns the number of the change in the feed; null when there is no such key; `active` when it must stay
   */
  removeSigningKey(kid: string, until: number, event: AuditEvent | null): Promise<number | null | 'active'>
  /** Replaces the sealed form of a private key: the same key, sealed with another secret. */
  resealSigningKey(kid: string, sealedPrivateKey: Uint8Array): Promise<void>
}
