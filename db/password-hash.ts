/** No hash begins so: other systems write it for a user without a password too. */
const NONE = '!'

/**
 * What stands in a column `password_hash`, which is NOT NULL: `!` for a user who has no password. To let the column be
 * null instead would copy every user at an update. The empty text is no hash, and what an account has whose hash is not
 * known here.
 */
export function storedHash(hash: string | null): string {
  return hash ?? NONE
}

/** The reverse of `storedHash`. */
export function hashStored(text: string): string | null {
  return text === NONE ? null : text
}
