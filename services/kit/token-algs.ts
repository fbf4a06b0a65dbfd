/** The signature algorithms of tokens (RFC 7518, 3.1; RFC 8037, 3.1). */
export const TOKEN_ALGS = ['EdDSA', 'ES256', 'RS256'] as const

export type TokenAlg = (typeof TOKEN_ALGS)[number]
