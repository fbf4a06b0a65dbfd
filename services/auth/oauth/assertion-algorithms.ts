import { TOKEN_ALGS, type TokenAlg } from '../../kit/tokens/algorithms.ts'

/**
 * The names of the algorithms that clients may sign with. `Ed25519` is the later name of `EdDSA` with this curve (RFC 9864,
 * 2.2), which some libraries use already.
 */
export const ASSERTION_ALGS = [...TOKEN_ALGS, 'Ed25519'] as const

/** Whether a name is that of the algorithm of a key. */
export function namesAlgorithm(name: unknown, alg: TokenAlg): boolean {
  return name === alg || (name === 'Ed25519' && alg === 'EdDSA')
}
