/** The file formats that `users import` reads. */
export const FORMATS = ['jsonl', 'csv', 'auth0', 'keycloak', 'supabase', 'firebase', 'django'] as const
export type Format = (typeof FORMATS)[number]
