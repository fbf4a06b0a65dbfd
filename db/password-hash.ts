/**
 * What stands in a column `password_hash`, which is NOT NULL: the empty text for a user who has no password. To let the
 * column be null instead would copy every user at an update.
 */
export function storedHash(hash: string | null): string {
  return hash ?? ''
}

/** The reverse of `storedHash`. */
export function hashStored(text: string): string | null {
  return text === '' ? null : text
}
