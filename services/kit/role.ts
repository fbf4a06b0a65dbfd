/** The form of a role. */
export const ROLE = /^[A-Z][A-Z0-9_]{0,31}$/
