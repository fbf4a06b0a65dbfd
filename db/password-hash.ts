/** Stands for no password, as in other systems. No hash begins with it. */
const NO_PASSWORD = '!'

/**
 * Gives the text of a `password_hash` column, which is NOT NULL: `!` for a user without a password. A migration to a
 * nullable column would have to copy every user. An empty text marks an account whose hash is not cached.
 */
export function toHashColumn(hash: string | null): string {
  return hash ?? NO_PASSWORD
}

/** Gives the hash that a `password_hash` column holds. Null: the user has no password. */
export function fromHashColumn(text: string): string | null {
  return text === NO_PASSWORD ? null : text
}
